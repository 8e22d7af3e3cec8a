"""The suite. `servers` starts real processes; `e2e` speaks to them and knows the protocol only."""
