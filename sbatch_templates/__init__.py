"""Jinja sources of every script we submit."""
