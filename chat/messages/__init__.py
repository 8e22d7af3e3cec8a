"""Messages: sending them, reading them, and changing them after they were sent."""
