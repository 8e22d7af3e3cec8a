"""The engine: a bus carries publications between nodes, a history stores them. Ports and implementations."""
