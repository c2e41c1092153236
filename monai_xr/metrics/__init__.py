"""Two sets of images in, numbers about fidelity and diversity out."""

from monai_xr.metrics.diversity import PairDiversity, PairSimilarity, ms_ssim, ms_ssim_of_random_pairs
from monai_xr.metrics.features import FeatureMetric, FeatureSpace, random_space
from monai_xr.metrics.fidelity import frechet_distance
from monai_xr.metrics.kernel import KernelDistance, kernel_distance
from monai_xr.metrics.spaces import inception_space, named_space, network_space, timm_space, xrv_space

__all__ = [
    "FeatureMetric",
    "FeatureSpace",
    "KernelDistance",
    "PairDiversity",
    "PairSimilarity",
    "frechet_distance",
    "inception_space",
    "kernel_distance",
    "ms_ssim",
    "ms_ssim_of_random_pairs",
    "named_space",
    "network_space",
    "random_space",
    "timm_space",
    "xrv_space",
]
