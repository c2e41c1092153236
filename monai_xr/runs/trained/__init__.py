"""Loads the network that a training left, ready to sample, to judge or to describe films, with whom it was trained on.

Reads checkpoints of an output folder, or safetensors, and writes safetensors; no code in them is ever run.
"""

from monai_xr.runs.trained.trained_classifier import TrainedClassifier, classifier_at, load_classifier
from monai_xr.runs.trained.trained_encoder import TrainedEncoder, encoder_at, load_encoder
from monai_xr.runs.trained.trained_generator import (
    LoadedGenerator,
    generator_as_trained,
    load_discriminator,
    load_generator,
)
from monai_xr.runs.trained.weight_files import load_weights, save_weights

__all__ = [
    "LoadedGenerator",
    "TrainedClassifier",
    "TrainedEncoder",
    "classifier_at",
    "encoder_at",
    "generator_as_trained",
    "load_classifier",
    "load_discriminator",
    "load_encoder",
    "load_generator",
    "load_weights",
    "save_weights",
]
