"""Name of a feature space, as typed, in; the space out: `own=RUN` of a training on a site's own films, or another."""

from pathlib import Path

import torch

from monai_xr.errors import ConfigurationError
from monai_xr.metrics import FeatureSpace, named_space
from monai_xr.metrics.spaces import AtSize
from monai_xr.runs.trained import load_encoder


def space_of(name: str, *, device: str | torch.device = "cpu") -> FeatureSpace:
    """Give `own=RUN`, where RUN is a training of the bundle chest_xray_features, or a space that `named_space` knows.

    Raises:
        ConfigurationError: No such space.
        ModelError: Weights that are missing or do not fit.
    """
    kind, _, run = name.partition("=")
    if kind != "own":
        return named_space(name, device=device)
    if not run:
        raise ConfigurationError(
            "own space without its training",
            "space",
            "own=RUN, after `monai-xr train chest_xray_features`",
        )
    return own_space(run, device=device)


def own_space(run: str | Path, *, device: str | torch.device = "cpu") -> FeatureSpace:
    """Give the space of an encoder that was trained on a site's own films, which knows whose they are.

    Args:
        run: See `load_encoder`.
        device: Where the network runs.

    Raises:
        ModelError: No such training.
    """
    found = load_encoder(run)
    network = AtSize(found.network, found.image_size).eval().requires_grad_(False).to(device)
    return FeatureSpace("own", network, trained_on=found.trained_on)
