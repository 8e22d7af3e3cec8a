"""The peers: servers as their own documentation writes them."""
