"""Loads what a training left, ready to sample or to judge films."""

from monai_xr.runs.trained.trained_classifier import TrainedClassifier, classifier_at, load_classifier
from monai_xr.runs.trained.trained_generator import LoadedGenerator, generator_as_trained, load_generator
from monai_xr.runs.trained.weights import load_weights, save_weights

__all__ = [
    "LoadedGenerator",
    "TrainedClassifier",
    "classifier_at",
    "generator_as_trained",
    "load_classifier",
    "load_generator",
    "load_weights",
    "save_weights",
]
