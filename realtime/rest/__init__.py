"""The plain HTTP pages of this package: metrics and health."""
