"""Trained generator in, synthetic images out."""
