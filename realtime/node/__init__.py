"""What a process has one of, its timers, its messages to other nodes, and its database threads."""
