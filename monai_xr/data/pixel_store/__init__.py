"""Decodes images once and keeps their tiles in one memory-mapped file: `PixelCache`."""
