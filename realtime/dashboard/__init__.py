"""The live page in Django's admin, and the endpoint that sends its data."""
