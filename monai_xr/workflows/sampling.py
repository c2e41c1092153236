"""A finished training in, its synthetic images out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

from monai_xr.errors import ConfigurationError, ModelError
from monai_xr.workflows.bundle_folders import find_bundle
from monai_xr.workflows.bundles import run_bundle


def sample_run(run: Path, count: int, overrides: Mapping[str, Any], *, bundle: str | Path | None = None) -> Path:
    """Generate images with the settings that the training recorded.

    Args:
        run: Output folder of the training.
        count: Images to generate.
        overrides: Further knobs of the bundle's `inference.yaml`; they win over those of the training.
        bundle: The bundle that was trained; the one that the training recorded by default.

    Returns:
        The folder of the images.

    Raises:
        ModelError: If there is no training in `run`.
        ConfigurationError: If the folder of the images is in use.
    """
    recorded = read_settings(run)
    folder_of_bundle = find_bundle(bundle or recorded["bundle"])
    config = ConfigParser()
    config.read_config(str(folder_of_bundle / "configs" / "inference.yaml"))
    about_networks = {
        knob: recorded[knob] for knob in recorded if knob in config and knob not in ("dataset_dir", "seed")
    }
    network = {"generator": generator} if (generator := _merged_generator(run)) else {}
    knobs = {**about_networks, **network, "output_dir": str(run), "count": count, **overrides}
    folder = Path(knobs.setdefault("synthetic_dir", str(run / "synthetic")))
    if (folder / "manifest.csv").exists():
        raise ConfigurationError("folder already holds images", folder, "choose another with --synthetic_dir")
    run_bundle(folder_of_bundle, "inference", "inference", knobs)
    return folder


def _merged_generator(run: Path) -> Any:
    """The generator as overlays and overrides made it, from the `config.yaml` of a training; None without one."""
    try:
        return yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")).get("generator")
    except FileNotFoundError:  # trained with the plain MONAI command
        return None
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        raise ModelError("config of the training cannot be read", run / "config.yaml", "train again") from None


def read_settings(run: Path) -> dict[str, Any]:
    """Read the knobs of a training from its `run.json`.

    Raises:
        ModelError: If there is none.
    """
    try:
        content = json.loads((run / "run.json").read_text())
        return dict(content["settings"])
    except (OSError, ValueError, KeyError):
        raise ModelError("no training recorded here (run.json)", run, "name the output folder of a training") from None


def trained_classes(run: str | Path) -> list[str]:
    """Names of the classes of a training, in the order of their indices, from its `run.json`.

    Raises:
        ModelError: If there is no training in `run`.
    """
    try:
        return sorted(json.loads((Path(run) / "run.json").read_text())["data"]["images_per_class"])
    except (OSError, ValueError, KeyError):
        raise ModelError("no training recorded here (run.json)", Path(run), "name the classes by --trained") from None


def settings_behind(synthetic: Path) -> dict[str, Any]:
    """Give what real images must go through to be compared with a folder of synthetic ones.

    Taken from the training whose output folder holds `synthetic`; the bundles' defaults where there is none.
    """
    recorded = {"image_size": 64, "classes": None, "split": "train", "aiin": "opencv"}
    if (synthetic.parent / "run.json").is_file():
        trained = read_settings(synthetic.parent)
        recorded |= {name: trained[name] for name in recorded if name in trained}
    return recorded
