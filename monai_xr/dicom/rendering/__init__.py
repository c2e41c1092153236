"""Turns stored words into what a film shows, upright: lookup tables, windows, colour, orientation (PS3.3, PS3.4)."""
