"""Two sets of images in, numbers about fidelity, diversity, coverage and copying out."""

from monai_xr.metrics.copies import Memorization, memorization, normalised_pixels
from monai_xr.metrics.coverage import Coverage, precision_recall_coverage
from monai_xr.metrics.diversity import PairDiversity, PairSimilarity, ms_ssim, ms_ssim_of_random_pairs
from monai_xr.metrics.features import FeatureMetric, FeatureSpace, random_space
from monai_xr.metrics.fidelity import batchwise_frechet_distance, frechet_distance, frechet_distance_at_infinity
from monai_xr.metrics.kernel import KernelDistance, kernel_distance
from monai_xr.metrics.spaces import classifier_space, inception_space, named_space, network_space, timm_space, xrv_space
from monai_xr.metrics.spread import inception_score, mean_cosine_distance, vendi_score

__all__ = [
    "Coverage",
    "FeatureMetric",
    "FeatureSpace",
    "KernelDistance",
    "Memorization",
    "PairDiversity",
    "PairSimilarity",
    "batchwise_frechet_distance",
    "classifier_space",
    "frechet_distance",
    "frechet_distance_at_infinity",
    "inception_score",
    "inception_space",
    "kernel_distance",
    "mean_cosine_distance",
    "memorization",
    "ms_ssim",
    "ms_ssim_of_random_pairs",
    "named_space",
    "network_space",
    "normalised_pixels",
    "precision_recall_coverage",
    "random_space",
    "timm_space",
    "vendi_score",
    "xrv_space",
]
