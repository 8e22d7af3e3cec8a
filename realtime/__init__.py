"""Everything about sockets: the wire, hub, consumers and server. Knows nothing of chat or accounts."""
