"""Watches a GAN training for collapse and divergence."""
