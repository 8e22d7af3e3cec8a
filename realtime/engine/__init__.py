"""Where publications are carried (bus) and remembered (history): ports, and one module for each way of doing it."""
