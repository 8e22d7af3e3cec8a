"""Our server beside its peers on this machine: `make bench`, `make bench-quick` (docs/performance.md)."""
