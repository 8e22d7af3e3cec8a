"""The load generator: one process, one job, told by JSON and answering in JSON (`python -m bench.load`)."""
