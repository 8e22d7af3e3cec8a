"""Kills processes between commit and publish. No publication may be lost, doubled or out of order."""
