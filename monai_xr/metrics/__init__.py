"""Measures sets of images (fidelity, diversity, coverage, copying) and the answers of classifiers, with intervals."""

from monai_xr.metrics.classification import Answers, Estimate, estimates
from monai_xr.metrics.comparing import Difference, delong, holm, paired_difference
from monai_xr.metrics.copies import Memorization, memorization, normalised_pixels
from monai_xr.metrics.coverage import Coverage, precision_recall_coverage
from monai_xr.metrics.diversity import PairDiversity, PairSimilarity, ms_ssim, ms_ssim_of_random_pairs
from monai_xr.metrics.features import FeatureMetric, FeatureSpace, random_space
from monai_xr.metrics.fidelity import batchwise_frechet_distance, frechet_distance, frechet_distance_at_infinity
from monai_xr.metrics.kernel import KernelDistance, kernel_distance
from monai_xr.metrics.spaces import (
    classifier_space,
    inception_space,
    lite0_space,
    named_space,
    network_space,
    timm_space,
    xrv_space,
)
from monai_xr.metrics.spread import inception_score, mean_cosine_distance, vendi_score

__all__ = [
    "Answers",
    "Coverage",
    "Difference",
    "Estimate",
    "FeatureMetric",
    "FeatureSpace",
    "KernelDistance",
    "Memorization",
    "PairDiversity",
    "PairSimilarity",
    "batchwise_frechet_distance",
    "classifier_space",
    "delong",
    "estimates",
    "frechet_distance",
    "frechet_distance_at_infinity",
    "holm",
    "inception_score",
    "inception_space",
    "kernel_distance",
    "lite0_space",
    "mean_cosine_distance",
    "memorization",
    "ms_ssim",
    "ms_ssim_of_random_pairs",
    "named_space",
    "network_space",
    "normalised_pixels",
    "paired_difference",
    "precision_recall_coverage",
    "random_space",
    "timm_space",
    "vendi_score",
    "xrv_space",
]
