"""Opens the feature space that was asked for; trains one on a site's own films where that is wanted: `space_of`."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch

from monai_xr.errors import ConfigurationError
from monai_xr.metrics import FeatureSpace, named_space
from monai_xr.metrics.spaces import AtSize
from monai_xr.progress import say
from monai_xr.runs import RunFolder
from monai_xr.runs.trained import load_encoder
from monai_xr.transforms import XrayDataset
from monai_xr.workflows.bundle_running.bundle_folders import config_files, find_bundle
from monai_xr.workflows.bundle_running.bundles import run_bundle
from monai_xr.workflows.bundle_running.settings_list import SettingsList

PLACE = Path("runs/features")  # of own spaces that nobody trained by hand


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


def own_training(films: str | Path, *, accept_phantoms: Any, no_patients: Any, place: Path = PLACE) -> Path:
    """Give the training of an own space on the split train of a data folder, made where there is none of these films.

    Trainings are kept by the digest of what they learned from: films that changed are learned anew.

    Args:
        films: Any data folder.
        accept_phantoms: As in `XrayDataset`.
        no_patients: As in `XrayDataset`.
        place: Holds the trainings and their decoded pixels.

    Raises:
        XrError: What training a bundle raises.
    """
    bundle, cache, admitted = find_bundle("chest_xray_features"), place / "cache", {"accept_phantoms": accept_phantoms}
    size = SettingsList(config_files(bundle, "train")).content["image_size"]
    dataset = XrayDataset(films, image_size=size, cache_dir=cache, no_patients=no_patients, **admitted)
    run = RunFolder(place / dataset.cache.manifest_sha256[:16])
    if run.is_recorded and run.record.get("state") == "finished":
        say(f"feature space: the one that learned these films before, {run.path}")
        return run.path
    say(f"feature space: learning these films, once, in {run.path}")
    knobs = {"dataset_dir": str(films), "output_dir": str(run.path), "cache_dir": str(cache), **admitted}
    with redirect_stdout(sys.stderr):
        return run_bundle(bundle, "training", "train", {**knobs, "no_patients": no_patients, "resume": run.is_begun})


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
