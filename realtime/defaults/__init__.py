"""The defaults of a project without its own settings: one tenant, Django's users and sessions, the usual routes."""
