"""Judges the measures: gives them sets whose quality is known beforehand, and writes a table of what each says."""
