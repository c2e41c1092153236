"""Judges classifiers on labelled films: measures with intervals, paired comparison, one HTML page."""
