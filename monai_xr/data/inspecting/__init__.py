"""Tells what is in a folder of films and what may be wrong with it."""
