"""Our WebSocket protocol class: its parts without I/O, and the whole over raw sockets."""
