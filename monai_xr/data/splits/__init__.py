"""Deals patients to train, val and test, once for each data folder, and keeps that in `splits.json`."""
