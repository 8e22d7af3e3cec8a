"""The chat's REST API under `/api/chat/`: the operations over HTTP, and files."""
