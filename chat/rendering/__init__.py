"""Turns a message's text into HTML that is safe to show: Markdown, links, mentions, emoji. Pure functions."""
