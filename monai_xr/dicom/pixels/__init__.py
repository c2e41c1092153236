"""Decodes Pixel Data into stored words: layout, fragments, code streams (PS3.5)."""
