"""The REST endpoints of tokens and tickets, and the form of all REST requests and errors."""
