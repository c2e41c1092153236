"""Draws what AIIN and the reading rules do to a film."""
