"""Two sets of images in, numbers about fidelity and diversity out."""

from monai_xr.metrics.diversity import PairDiversity, PairSimilarity, ms_ssim, ms_ssim_of_random_pairs
from monai_xr.metrics.features import FeatureSpace, random_space
from monai_xr.metrics.fidelity import FrechetDistance, frechet_distance

__all__ = [
    "FeatureSpace",
    "FrechetDistance",
    "PairDiversity",
    "PairSimilarity",
    "frechet_distance",
    "ms_ssim",
    "ms_ssim_of_random_pairs",
    "random_space",
]
