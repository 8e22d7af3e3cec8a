"""The tenant's people as the chat shows them: names, statuses, profiles."""
