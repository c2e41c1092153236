"""Finds the folder and configs of a bundle or a run by name, and checks versions. Loads nothing heavy."""

import difflib
import json
from collections.abc import Collection, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

import monai_xr
from monai_xr.errors import ConfigurationError, ModelError
from monai_xr.runs import RunFolder

_REPOSITORY_BUNDLES = Path(monai_xr.__file__).parents[1] / "bundles"
_WHOLE = ("train", "inference", "evaluate")  # configs that stand for themselves
_INSTALLED_BUNDLES = Path(monai_xr.__file__).parent / "_bundles"


def find_bundle(name: str | Path) -> Path:
    """Find a bundle by the path of its folder, or one that comes with the package by its name.

    Raises:
        ConfigurationError: Naming the nearest known bundle.
    """
    known = known_bundles()
    for folder in (Path(name), known.get(str(name))):
        if folder is not None and (folder / "configs" / "metadata.json").is_file():
            return folder
    raise ConfigurationError("no such bundle", Path(name), nearest(str(name), known))


def known_bundles() -> dict[str, Path]:
    """Give the folders of the bundles that come with the package, by name."""
    return {
        path.parents[1].name: path.parents[1]
        for folder in (_INSTALLED_BUNDLES, _REPOSITORY_BUNDLES)
        for path in sorted(folder.glob("*/configs/metadata.json"))
    }


def bundle_tasks() -> list[tuple[str, str]]:
    """Give name and task of each bundle that comes with the package."""
    return [(name, str(metadata_of(folder).get("task", ""))) for name, folder in known_bundles().items()]


def metadata_of(bundle: Path) -> dict[str, Any]:
    """Read what a bundle says of itself."""
    content: dict[str, Any] = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    return content


def config_files(bundle: Path, config: str | Path, overlays: Sequence[Path] = ()) -> list[Path]:
    """Find the config files that are merged, in order.

    Args:
        bundle: Folder of the bundle.
        config: Name of a config in its `configs`, without ending; or a whole config elsewhere, as runs keep it.
        overlays: Further files; those beside the config by their names alone.

    Raises:
        ConfigurationError: One is not there.
    """
    configs = bundle / "configs"
    first = config if isinstance(config, Path) else configs / f"{config}.yaml"
    files = [first if first.is_file() else first.with_suffix(".json")]  # of a bundle that was packed
    files += [file if file.is_file() else configs / file.name for file in overlays]
    for file in files:
        if not file.is_file():
            raise ConfigurationError("no such config file", file, _known_overlays(bundle))
    return files


def overlays_of(bundle: Path) -> list[tuple[str, str]]:
    """Give name and first line of each config of a bundle that is merged over its `train.yaml`."""
    files = [each for each in sorted((bundle / "configs").glob("*.yaml")) if each.stem not in _WHOLE]
    return [(each.name, each.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")) for each in files]


def _known_overlays(bundle: Path) -> str:
    known = ", ".join(name for name, _ in overlays_of(bundle))
    return f"overlays of {bundle.name}: {known}" if known else f"{bundle.name} has no overlays"


def find_config(name: str | Path) -> tuple[Path, str | Path, dict[str, Any]]:
    """Find what to train: a bundle as `find_bundle` does, or what a run trained, by the path of its output folder.

    Returns:
        The folder of the bundle, its config as `run_bundle` takes it, and knobs that go with it.

    Raises:
        ConfigurationError: No such bundle.
        ModelError: A run whose record cannot be read, or that kept no config.
    """
    run = RunFolder(name)
    if not run.is_recorded:
        return find_bundle(name), "train", {}
    if not run.config.is_file():
        raise ModelError("this run kept no config.yaml", run.path, "name its bundle and overlays")
    return find_bundle(run.settings["bundle"]), run.config, {"output_dir": str(name)}


def check_versions(bundle: Path) -> None:
    """Refuse packages that a bundle cannot run with.

    What this package needs of others is declared once, with the package itself, so that what `pip` installs runs. The
    versions in a bundle's metadata are those it was made with; they bind for this package, and for those that it
    does not need itself.

    Raises:
        ConfigurationError: Naming what is needed and what was found.
    """
    metadata = metadata_of(bundle)
    made_with = {"monai": metadata["monai_version"], "torch": metadata["pytorch_version"]}
    declared = _declared()
    for package, text in {**made_with, **metadata["required_packages_version"]}.items():
        needed = declared.get(package) or Requirement(f"{package}>={_series(text)}")
        try:
            found = version(package)
        except PackageNotFoundError:
            raise ConfigurationError(f"the bundle needs {needed}", bundle, f"pip install '{needed}'") from None
        if not needed.specifier.contains(found, prereleases=True):
            raise ConfigurationError(f"the bundle needs {needed}, found {found}", bundle, f"pip install '{needed}'")


def _declared() -> dict[str, Requirement]:
    """What this package needs, by name, as its own metadata says; nothing where it runs without being installed."""
    try:
        found = [Requirement(text) for text in requires("monai-xr") or ()]
    except PackageNotFoundError:
        return {}
    return {each.name: each for each in found if each.marker is None or each.marker.evaluate({"extra": ""})}


def _series(text: str) -> str:
    """Major and minor version."""
    return ".".join(map(str, Version(text).release[:2]))


def nearest(name: str, choices: Collection[str]) -> str:
    """Name the choice most like `name`, or the first choices where none is like it."""
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(map(str, choices))[:20])}"
