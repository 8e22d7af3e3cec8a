"""What a project gets that configures nothing: one tenant, Django's users and sessions, and the usual routes."""
