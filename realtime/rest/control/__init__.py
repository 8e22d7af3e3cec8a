"""The REST endpoints under /api/realtime/."""
