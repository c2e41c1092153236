"""Runs a study file: trains its arms several times on the same films, and reports which of them helps."""
