"""Adaptive input-image normalisation (arXiv 2309.12245): functions, MONAI transforms, compiled loops."""
