"""The topics of this process: the hub, fan-out, presence, the other nodes, and the engines they use."""
