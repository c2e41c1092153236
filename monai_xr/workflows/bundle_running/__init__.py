"""Runs a bundle: its folder, its knobs, its config kept beside the run."""
