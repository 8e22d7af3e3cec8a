"""Real servers, a real broker and real faults: what clients saw is recorded, and judged afterwards."""
