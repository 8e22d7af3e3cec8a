"""Our server and its peers as processes on the server's core."""
