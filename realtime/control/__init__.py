"""Control: one service for all that operators see and do. Pages, REST endpoints, commands and Python code use it."""
