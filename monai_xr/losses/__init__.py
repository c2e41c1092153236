"""Scores and images of one GAN step in, named loss terms out."""
