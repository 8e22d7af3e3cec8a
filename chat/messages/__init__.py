"""Messages: what they are, how they are read, and how they change after they were sent."""
