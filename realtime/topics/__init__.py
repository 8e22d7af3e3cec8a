"""Topics of this process: the hub, fan-out, presence, the other nodes, and the engines below."""
