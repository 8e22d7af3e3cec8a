"""Real servers for tests: PostgreSQL, Valkey, and this project as processes of its own."""
