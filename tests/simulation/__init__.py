"""A deterministic simulator: nodes of the real project on a fake clock, in seeded worlds with injected faults."""
