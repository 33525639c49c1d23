"""Formats of other tools, and what their fields mean here."""
