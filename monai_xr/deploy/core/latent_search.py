"""AnoGAN's latent search by ONNX Runtime, without torch: the anomaly score and map of a film.

The loss and the start are those of `monai_xr.inferers.latent_search`; the gradient is part of the exported network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_xr.data.images.tiles import Pixels
from monai_xr.deploy.core.results import Told

_DECAYS, _EPSILON = (0.9, 0.999), 1e-8  # Kingma and Ba 2015
GENERATOR, FEATURES, STEP = "generator.onnx", "features.onnx", "step.onnx"


@dataclass(frozen=True, eq=False)
class LatentSearch:
    """AnoGAN by ONNX Runtime.

    Args:
        sessions: By the names of their files.
        first: Latents (Z,) that every search starts from.
        steps: Of Adam.
    """

    sessions: Mapping[str, Any]
    first: NDArray[np.float32]
    steps: int
    learning_rate: float

    def __call__(self, network_input: Pixels) -> Told:
        """Search the latents of an input (S, S) in [-1, 1]."""
        image = network_input[None, None]
        (seen,) = self.sessions[FEATURES].run(None, {"images": image})
        latents = self._searched(image, seen)
        (made,) = self.sessions[GENERATOR].run(None, {"latents": latents})
        given = {"latents": latents, "image": image, "seen": seen}
        loss, _ = self.sessions[STEP].run(None, given)
        away = np.abs(made[0, 0] - network_input)
        return Told(look=away / max(float(away.max()), 1e-6), embedding=seen[0], score=float(loss[0]))

    def _searched(self, image: Pixels, seen: Pixels) -> Pixels:
        """Go down the gradient by Adam."""
        latents = self.first[None].copy()
        mean, square = np.zeros_like(latents), np.zeros_like(latents)
        slow, slower = (np.float32(each) for each in _DECAYS)
        for step in range(1, self.steps + 1):
            _, gradient = self.sessions[STEP].run(None, {"latents": latents, "image": image, "seen": seen})
            mean = slow * mean + (1 - slow) * gradient
            square = slower * square + (1 - slower) * gradient * gradient
            rate = self.learning_rate / (1 - _DECAYS[0] ** step)
            spread = np.sqrt(square) / np.float32(np.sqrt(1 - _DECAYS[1] ** step)) + np.float32(_EPSILON)
            latents = (latents - np.float32(rate) * mean / spread).astype(np.float32)
        return latents
