"""Reads what a data set says of its images: folder names, `manifest.csv`, `labels.csv`, headers, public layouts."""
