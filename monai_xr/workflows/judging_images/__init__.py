"""Judges synthetic images against real ones: measures with intervals, verdicts, one HTML page."""
