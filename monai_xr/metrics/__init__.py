"""Two sets of images in, numbers about fidelity and diversity out; answers of a classifier in, its measures out."""

from monai_xr.metrics.classification import Answers, Estimate, estimates
from monai_xr.metrics.comparing import Difference, delong, holm, paired_bootstrap
from monai_xr.metrics.diversity import PairDiversity, PairSimilarity, ms_ssim, ms_ssim_of_random_pairs
from monai_xr.metrics.features import FeatureSpace, random_space
from monai_xr.metrics.fidelity import FrechetDistance, frechet_distance

__all__ = [
    "Answers",
    "Difference",
    "Estimate",
    "FeatureSpace",
    "FrechetDistance",
    "PairDiversity",
    "PairSimilarity",
    "delong",
    "estimates",
    "frechet_distance",
    "holm",
    "ms_ssim",
    "ms_ssim_of_random_pairs",
    "paired_bootstrap",
    "random_space",
]
