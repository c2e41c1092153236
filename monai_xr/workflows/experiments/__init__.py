"""Measures whole families of sets or trainings and writes one table."""
