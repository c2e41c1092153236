"""A finished training in, its synthetic images out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_xr.errors import ConfigurationError
from monai_xr.runs import RunFolder
from monai_xr.workflows.bundle_running.bundle_folders import find_bundle
from monai_xr.workflows.bundle_running.bundles import run_bundle


def sample_run(folder: Path, count: int, overrides: Mapping[str, Any], *, bundle: str | Path | None = None) -> Path:
    """Generate images with the settings that the training recorded.

    Args:
        folder: Output folder of the training.
        count: Images to generate.
        overrides: Further knobs of the bundle's `inference.yaml`; they win over those of the training.
        bundle: The bundle that was trained; the one that the training recorded by default.

    Returns:
        The folder of the images.

    Raises:
        ModelError: If there is no training in `folder`.
        ConfigurationError: If the folder of the images is in use.
    """
    run = RunFolder(folder)
    trained = find_bundle(bundle or run.settings["bundle"])
    knobs = {"output_dir": str(folder), "synthetic_dir": str(run.synthetic), "count": count, **overrides}
    images = Path(knobs["synthetic_dir"])
    if (images / "manifest.csv").exists():
        raise ConfigurationError("folder already holds images", images, "choose another with --synthetic_dir")
    run_bundle(trained, "inference", "inference", knobs)
    return images
