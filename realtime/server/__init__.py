"""The production server: uvicorn with our WebSocket protocol class, and draining."""
