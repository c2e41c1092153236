"""Generates synthetic images from a training; loads nothing heavy until they are made: `sample_run`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_xr.data.files.data_folder import MANIFEST
from monai_xr.data.files.output import free_folder
from monai_xr.data.images.lineage import lineage_of
from monai_xr.errors import ConfigurationError
from monai_xr.runs import RunFolder
from monai_xr.settings import did_you_mean
from monai_xr.workflows.bundle_running.bundle_folders import config_files, find_bundle, known_bundles
from monai_xr.workflows.bundle_running.settings_list import SettingsList

_IMAGES = "synthetic_dir"  # the setting by which a config says that it makes images


@dataclass(frozen=True)
class SamplePlan:
    """What is to be made of a training.

    Attributes:
        bundle: Folder of its bundle.
        knobs: Settings of the bundle's `inference.yaml`.
        note: What is other than before; "" where nothing is.
    """

    bundle: Path
    knobs: Mapping[str, Any]
    note: str = ""

    def carry_out(self) -> Path:
        """Make the images; give their folder."""
        from monai_xr.workflows.bundle_running.bundles import run_bundle

        run_bundle(self.bundle, "inference", "inference", self.knobs)
        return Path(self.knobs[_IMAGES])


def settings_of_sampling(folder: Path, bundle: str | Path | None = None) -> tuple[Path, SettingsList]:
    """Give the bundle of a training and the settings with which it makes images.

    Raises:
        ModelError: There is no training in `folder`.
        ConfigurationError: Its bundle makes no images.
    """
    trained = find_bundle(bundle or RunFolder(folder).settings["bundle"])
    settings = SettingsList(config_files(trained, "inference"))
    if _IMAGES not in settings.settings:
        raise ConfigurationError(f"{trained.name} makes no images", folder, "monai-xr report tells what comes next")
    return trained, settings


def settings_of_all() -> list[tuple[str, str]]:
    """Give the settings of sampling with their comments, and the bundle where not every bundle has one."""
    lists = {name: SettingsList(config_files(folder, "inference")) for name, folder in known_bundles().items()}
    lists = {name: each for name, each in lists.items() if _IMAGES in each.settings}
    rows: dict[str, tuple[str, str]] = {}
    owners: dict[str, list[str]] = {}
    for name, each in lists.items():
        for row, option in zip(each.lines(), each.settings, strict=True):
            if option not in ("output_dir", "count"):  # told as RUN and --count
                rows.setdefault(option, row)
                owners.setdefault(option, []).append(name)
    some = {option: f" ({', '.join(names)})" for option, names in owners.items() if len(names) < len(lists)}
    return [(typed, comment + some.get(option, "")) for option, (typed, comment) in rows.items()]


def plan_samples(
    folder: Path, count: int, overrides: Mapping[str, Any], *, bundle: str | Path | None = None
) -> SamplePlan:
    """Check what is asked for, and find a place and a seed that no earlier images have.

    Args:
        folder: Output folder of the training.
        count: Images to generate.
        overrides: Further settings of the bundle's `inference.yaml`; they win over those of the training.
        bundle: The bundle that was trained; the one that the training recorded by default.

    Raises:
        ModelError: If there is no training in `folder`.
        ConfigurationError: If the folder of the images is in use, or a setting cannot be.
    """
    run = RunFolder(folder)
    trained, settings = settings_of_sampling(folder, bundle)
    settings.check(overrides)
    _check_label(run, str(overrides.get("label") or ""))
    place, seed, note = _next_place(run)
    knobs = {"output_dir": str(folder), _IMAGES: str(place), "count": count, "seed": seed, **overrides}
    images = Path(knobs[_IMAGES])
    if (images / MANIFEST).is_file():
        way_out = "choose another with --synthetic_dir, or leave it out for a new one"
        raise ConfigurationError("folder already holds images", images, way_out)
    return SamplePlan(trained, knobs, "" if overrides.keys() & {_IMAGES, "seed"} else note)


def sample_run(folder: Path, count: int, overrides: Mapping[str, Any], *, bundle: str | Path | None = None) -> Path:
    """Generate images as `plan_samples` says; give their folder."""
    return plan_samples(folder, count, overrides, bundle=bundle).carry_out()


def _check_label(run: RunFolder, label: str) -> None:
    """Refuse a name for images of a generator that is told no class, unless it was trained on that class alone."""
    known = run.named_classes
    if label and known and known != [label]:
        together = " together: none of its images is of one of them" if len(known) > 1 else ""
        meant = "" if label in known else did_you_mean(label, known)
        way_out = f"{meant}it was trained on {', '.join(known)}{together}"
        raise ConfigurationError(f"its images are not of class {label!r}", run.path, way_out)


def _next_place(run: RunFolder) -> tuple[Path, int, str]:
    """Give a folder without images, a seed that none of the others has, and what to say of it."""
    full = run.sampled
    if not full:
        return run.synthetic, 0, ""
    seed = max(map(_seed_of, full)) + 1
    place = free_folder(run.synthetic)
    held = ", ".join(each.name for each in full)
    return place, seed, f"{held} of this run hold images already: these are new ones, from seed {seed}, in {place.name}"


def _seed_of(folder: Path) -> int:
    """Seed of the images in a folder; 0 where they do not tell."""
    first = next(iter(sorted(folder.glob("*.png"))), None)
    told = lineage_of(first)["seed"] if first else ""
    return int(told) if told.isdigit() else 0
