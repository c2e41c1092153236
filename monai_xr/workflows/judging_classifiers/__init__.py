"""Judges classifiers on labelled films: measures with intervals, one HTML page."""
