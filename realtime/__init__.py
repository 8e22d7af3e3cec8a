"""Everything about sockets: the wire, the hub, consumers and the server. Knows nothing of chat or accounts."""
