"""What this package answers over plain HTTP: figures and health."""
