"""Prepares a data set: films in, one pixel store, `manifest.csv` with splits and a report out."""
