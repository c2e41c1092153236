"""Checks what was typed for an evaluation of images, and fills in the rest from the training, before heavy imports."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_xr.data.files.data_folder import data_folder, existing_data_folder, is_training
from monai_xr.data.files.output import free_folder
from monai_xr.data.sources.finding import check_folder
from monai_xr.errors import ConfigurationError
from monai_xr.runs import GeneratedImages, RunFolder
from monai_xr.runs.resumed_settings import as_text
from monai_xr.runs.summary import went_on_since
from monai_xr.settings import did_you_mean, parse_names


def settings_asked(
    real: Path, synthetic: GeneratedImages, given: Mapping[str, Any], *, held_out_split: str | None, no_patients: bool
) -> dict[str, Any]:
    """Give size, classes, split and normalisation: as typed, else as in the training behind the synthetic images.

    Raises:
        ConfigurationError: No such folder, class or split; a class that the generator was not trained on.
        InputDataError: No real image; patients that must be known.
    """
    existing_data_folder(synthetic.folder)
    settings = synthetic.settings() | {name: value for name, value in given.items() if value is not None}
    if synthetic.training and given.get("classes"):
        _check_trained(synthetic.training, given["classes"])
    named = held_out_split not in (None, "auto", "none", "null")
    check_folder(real, classes=settings["classes"], split=settings["split"], deal=named, no_patients=no_patients)
    return settings


def _check_trained(training: RunFolder, classes: str) -> None:
    known = training.named_classes
    for name in parse_names(classes, known) or ():
        if known and name not in known:
            meant = did_you_mean(name, known)
            way_out = f"{meant}it was trained on {', '.join(known)}: leave --classes out, or train on {name}"
            raise ConfigurationError(f"the generator never saw the class {name}", training.path, way_out)


def images_told(synthetic: GeneratedImages, aiin: Any) -> str:
    """Say which images are compared, which others of the same training are not, and what real films go through."""
    images = data_folder(synthetic.folder)
    sampled = RunFolder(images.parent).sampled if is_training(synthetic.folder) else []
    others = [each for each in sampled if each != images]
    beside = f"; for others of this training name {' or '.join(map(str, others))}" if others else ""
    if synthetic.training and went_on_since(synthetic.training, images):
        newer = f"monai-xr sample {shlex.quote(str(synthetic.training.path))} makes newer ones"
        beside += f"; the training went on since: {newer}"
    if synthetic.training is None:
        known = "as is kept beside them" if synthetic.kept_settings else "no training is recorded beside them"
        beside += f"; {known}, real films go through AIIN: {as_text(aiin)} (--aiin)"
    return f"comparing the images in {images}{beside}"


def usual_folder(synthetic: GeneratedImages) -> tuple[Path, Path]:
    """Give a folder that holds nothing yet for the report on synthetic images, and one for decoded pixels.

    They are beside the training that made the images, where that is known, else in `runs/evaluation`.
    """
    training, shared = synthetic.training, Path("runs/evaluation")
    if training:
        return free_folder(training.path / "evaluation"), training.path / "cache"
    return free_folder(shared / synthetic.folder.resolve().name), shared / "cache"
