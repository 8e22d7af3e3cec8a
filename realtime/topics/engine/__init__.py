"""Where publications are carried (bus) and remembered (history): ports and their implementations."""
