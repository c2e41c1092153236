"""Saves a training such that it can be taken up again as if it had never stopped."""
