"""Files of messages: checking, storing, serving and deleting them."""
