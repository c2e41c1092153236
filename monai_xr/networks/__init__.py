"""Latents and conditions in, image pyramids out; image pyramids in, scores out."""
