"""The node: the objects that a process has one of, its timers, its control messages, and
its database threads."""
