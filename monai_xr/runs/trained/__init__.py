"""Loads what a training left, ready to sample or to judge films."""
