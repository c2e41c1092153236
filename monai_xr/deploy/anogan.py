"""Exports AnoGAN of a trained DCGAN as ONNX: generator, features and search step, checked by a search."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from monai_xr.deploy.core.latent_search import FEATURES, GENERATOR, STEP, LatentSearch
from monai_xr.deploy.gradients import Gradients, Reshaped, SearchStep
from monai_xr.deploy.networks import batch_of, export_onnx
from monai_xr.errors import ModelError
from monai_xr.inferers.latent_search import SearchSettings, search_latents
from monai_xr.networks import DCGANDiscriminator, DCGANGenerator
from monai_xr.runs import RunFolder
from monai_xr.runs.trained import LoadedGenerator, generator_as_trained, load_discriminator, load_generator

_TOLERANCE = 0.01  # of the score, relative: the searches part by rounding


@dataclass(frozen=True)
class ExportedAnoGAN:
    """What was exported, and by how much it differs from the networks."""

    weights: LoadedGenerator
    latent_size: int
    differences: dict[str, float]


class LastOf(nn.Module):
    """The output of `Gradients` alone."""

    def __init__(self, layers: Gradients) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, given: Tensor) -> Tensor:
        """Give what the last layer makes of the input."""
        last: Tensor = self.layers(given)[-1]
        return last


def export_anogan(
    run: RunFolder, place: Path, films: Sequence[NDArray[np.float32]], search: SearchSettings
) -> ExportedAnoGAN:
    """Write the three networks of a latent search; the last of the films is searched, to compare the scores.

    Raises:
        ModelError: No DCGAN, or what was exported differs.
    """
    network: partial[Any] = partial(DCGANGenerator)
    generator = generator_as_trained(run, network)
    discriminator = load_discriminator(run)
    if not (isinstance(generator, DCGANGenerator) and isinstance(discriminator, DCGANDiscriminator)):
        raise ModelError(f"a {type(generator).__name__}, no DCGAN", run.path, "export a classifier or a DCGAN")
    weights = load_generator(generator, run.path / "checkpoints")
    made = Gradients([Reshaped(), generator.layers]).eval()
    seen = Gradients([discriminator.layers, nn.Flatten()]).eval()
    step = SearchStep(made, seen, search.feature_weight)
    draw = torch.Generator().manual_seed(0)
    latents = [torch.randn(1, generator.latent_size, generator=draw) for _ in films]
    images = [batch_of(film) for film in films]
    with torch.no_grad():
        features = [discriminator([image]).features for image in images]
    found = {
        **export_onnx(LastOf(made), (("latents",), ("image",)), [(each,) for each in latents], place / GENERATOR),
        **export_onnx(LastOf(seen), (("images",), ("features",)), [(each,) for each in images], place / FEATURES),
    }
    export_onnx(
        step,
        (("latents", "image", "seen"), ("loss", "gradient")),
        list(zip(latents, images, features, strict=True)),
        place / STEP,
    )
    found["score"] = _compared(generator, discriminator, films[-1], place, search)
    return ExportedAnoGAN(weights, generator.latent_size, found)


def _compared(
    generator: DCGANGenerator, discriminator: DCGANDiscriminator, film: NDArray[np.float32], place: Path, search: Any
) -> float:
    """Search one film by both ways; give the relative difference of the scores."""
    sessions = {
        name: onnxruntime.InferenceSession(place / name, providers=["CPUExecutionProvider"])
        for name in (GENERATOR, FEATURES, STEP)
    }
    first = search.first_latents(generator.latent_size)
    theirs = LatentSearch(sessions, first, search.steps, search.learning_rate)(film).score
    ours, _ = search_latents(
        lambda latents: generator(latents)[-1],
        lambda images: discriminator([images]).features,
        batch_of(film),
        generator.latent_size,
        search,
    )
    difference = abs(theirs - float(ours)) / float(ours) if theirs is not None else float("inf")
    if not difference <= _TOLERANCE:
        raise ModelError(f"the score differs by {100 * difference:.2g} %", place / STEP, "report this network")
    return difference
