"""Name of a bundle in; its folder out, once its versions fit. Imports nothing heavy, so that a typo is told at once."""

import difflib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.version import Version

import monai_xr
from monai_xr.errors import ConfigurationError

_REPOSITORY_BUNDLES = Path(monai_xr.__file__).parents[1] / "bundles"
_INSTALLED_BUNDLES = Path(monai_xr.__file__).parent / "_bundles"


def find_bundle(name: str | Path) -> Path:
    """Find a bundle by the path of its folder, or one that comes with the package by its name.

    Raises:
        ConfigurationError: Naming the nearest known bundle.
    """
    known = {
        path.parents[1].name: path.parents[1]
        for folder in (_INSTALLED_BUNDLES, _REPOSITORY_BUNDLES)
        for path in sorted(folder.glob("*/configs/metadata.json"))
    }
    for folder in (Path(name), known.get(str(name))):
        if folder is not None and (folder / "configs" / "metadata.json").is_file():
            return folder
    raise ConfigurationError("no such bundle", Path(name), nearest(str(name), known))


def check_versions(bundle: Path) -> None:
    """Refuse packages that are older than those the bundle was made with, by major and minor version.

    Raises:
        ConfigurationError: Naming both versions.
    """
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    wanted = {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        **metadata["required_packages_version"],
    }
    for package, text in wanted.items():
        try:
            found = Version(version(package))
        except PackageNotFoundError:
            raise ConfigurationError(f"the bundle needs {package} {text}", bundle, f"pip install {package}") from None
        least = _least_supported(package, Version(text))
        if found.release[:2] < least.release[:2]:
            raise ConfigurationError(
                f"the bundle was made with {package} {text}, found {found}", bundle, f"install {package} >= {least}"
            )


def _least_supported(package: str, made_with: Version) -> Version:
    """Torch may be older than the bundle: GPU hosts often are a few releases behind."""
    return min(made_with, Version("2.10")) if package == "torch" else made_with


def nearest(name: str, choices: Mapping[str, Any]) -> str:
    """Name the choice most like `name`, or the first choices where none is like it."""
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(map(str, choices))[:20])}"
