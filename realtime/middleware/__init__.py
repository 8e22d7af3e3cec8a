"""Pure-ASGI classes in front of every consumer, each adding one thing to the scope or refusing."""
