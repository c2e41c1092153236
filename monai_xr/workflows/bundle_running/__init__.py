"""Runs bundles: finds one by name, checks what was typed, trains, samples from the training, packs it for others."""
