"""Two sets of images in, numbers about fidelity and diversity out."""
