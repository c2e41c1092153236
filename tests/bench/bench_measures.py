"""Measures beside the usual ways to take them, one thread: scipy's root, torchmetrics, prdc's memory.

"Equal definition" of MS-SSIM: 3 scales, windows of 11, published exponents renormalised, 64 px.
"""

import resource
import time

import numpy as np
import torch
from pairs import compare
from scipy.linalg import sqrtm
from torch import nn
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure
from torchmetrics.image.fid import FrechetInceptionDistance

from monai_xr.metrics import (
    frechet_distance,
    kernel_distance,
    ms_ssim_of_random_pairs,
    network_space,
    precision_recall_coverage,
)
from monai_xr.metrics.diversity import random_pairs

BETAS = np.array((0.0448, 0.2856, 0.3001))
MOST_BYTES = 2 << 30


class LightExtractor(nn.Module):
    """2048 features an image at little cost: (B, 1, 64, 64) to (B, 2048)."""

    num_features = 2048

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 32, kernel_size=8, stride=8)

    def forward(self, images):
        return torch.relu(self.layer(images)).flatten(1)


def by_sqrtm(real, synthetic):
    first, second = np.cov(real.T), np.cov(synthetic.T)
    shift = ((real.mean(0) - synthetic.mean(0)) ** 2).sum()
    return shift + np.trace(first) + np.trace(second) - 2 * np.trace(sqrtm(first @ second)).real


def frechet_term():
    """One covariance of 2048 from 1,000 rows; the product is singular, and scipy says so."""
    draw = np.random.default_rng(0)
    mixing = draw.normal(size=(2048, 2048)) / 2048**0.5
    real, synthetic = draw.normal(size=(1000, 2048)) @ mixing, draw.normal(size=(1000, 2048)) @ mixing * 1.1
    ours, theirs = (torch.from_numpy(each) for each in (real, synthetic))
    return compare(
        "Frechet term, d = 2048, n = 1000, over scipy sqrtm",
        lambda: frechet_distance(ours, theirs),
        lambda: by_sqrtm(real, synthetic),
        bound=1 / 40,
        pairs=3,
    )


def frechet_end_to_end(images):
    torch.manual_seed(0)
    extractor = LightExtractor().eval().requires_grad_(False)
    space = network_space("light", extractor)
    real, synthetic = images, images.flip(0) ** 1.1

    def theirs():
        metric = FrechetInceptionDistance(extractor, normalize=True, input_img_size=(1, 64, 64))
        for batch in real.split(64):
            metric.update(batch, real=True)
        for batch in synthetic.split(64):
            metric.update(batch, real=False)
        return metric.compute()

    return compare(
        "Frechet distance of 1000 + 1000 images at 64 px, over torchmetrics",
        lambda: frechet_distance(space(real), space(synthetic)),
        theirs,
        bound=1 / 8,
        pairs=3,
    )


def likeness(images):
    first, second = (images[torch.from_numpy(side)] for side in random_pairs(len(images), 1000, seed=0))
    betas = tuple(BETAS / BETAS.sum())

    def theirs():
        for a, b in zip(first.split(100), second.split(100), strict=True):
            multiscale_structural_similarity_index_measure(
                a, b, kernel_size=11, sigma=1.5, data_range=1.0, betas=betas, normalize="relu"
            )

    return compare(
        "MS-SSIM of 1000 pairs at 64 px, over torchmetrics",
        lambda: ms_ssim_of_random_pairs(images, pairs=1000, seed=0),
        theirs,
        bound=1 / 8,
        pairs=3,
    )


def memory(name, job, features):
    """Run a job on 2 sets of features and see how far the memory of the process rises."""
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    job(*features)
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    holds = used <= MOST_BYTES
    count = len(features[0])
    print(
        f"{'ok  ' if holds else 'FAIL'} {name}, {count} x {count}: {used / 2**20:.0f} MiB beyond the features, "
        f"{time.perf_counter() - begin:.1f} s, bound {MOST_BYTES >> 20} MiB"
    )
    return holds


def main() -> bool:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1000, 1, 9, 9, generator=generator)
    images = torch.nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 1)
    ok = [
        memory(f"{name}, d = {d}", job, [torch.randn(count, d, generator=generator) for _ in range(2)])
        for count, d in ((5_000, 256), (10_000, 64))
        for name, job in (("kernel distance", kernel_distance), ("P/R/D/C", precision_recall_coverage))
    ]
    ok += [likeness(images), frechet_end_to_end(images), frechet_term()]
    return all(ok)


if __name__ == "__main__":
    torch.set_num_threads(1)
    import warnings

    warnings.simplefilter("ignore")  # scipy on singular products, torchmetrics on its buffers
    raise SystemExit(not main())
