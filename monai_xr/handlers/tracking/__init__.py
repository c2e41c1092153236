"""Sends the curves, settings and pictures of a run to MLflow."""
