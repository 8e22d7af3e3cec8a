"""What a change takes away: revocations, written with the change and announced after the commit."""
