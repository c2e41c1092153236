"""Experiments on the measures: judges sets whose quality is known beforehand, and writes a table of what each says."""
