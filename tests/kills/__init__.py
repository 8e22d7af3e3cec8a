"""Kills processes between commit and publish, and looks whether a publication was lost, doubled or out of order."""
