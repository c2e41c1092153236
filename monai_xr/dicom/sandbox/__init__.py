"""Reads films that nobody vouches for in confined child processes."""
