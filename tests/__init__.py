"""The suite. `servers` starts real processes; `outside` speaks to them knowing PROTOCOL only."""
