"""Finds the overlays of a bundle, and refuses names in one that nothing reads: `check_overlays`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from monai_xr.errors import ConfigurationError
from monai_xr.workflows.bundle_running.bundle_folders import nearest

_LEVELS = re.compile("::|#")
_RUN_BY_MONAI = frozenset(("imports", "initialize", "finalize", "run"))


def check_overlays(files: Sequence[Path]) -> None:
    """Refuse names in config files behind the first that no config before them has, and that nothing refers to.

    Such a name is misspelt, or of another family; MONAI merges it and never looks at it.

    Raises:
        ConfigurationError: Naming the nearest that is known, or a file that is no YAML.
    """
    contents = [read_config(file) for file in files]
    referred = set(re.findall(r"@([\w:#]+)", "".join(file.read_text(encoding="utf-8") for file in files)))
    known = contents[0]
    for file, content in zip(files[1:], contents[1:], strict=True):
        for name in content:
            top, *deeper = _LEVELS.split(name)
            within = known.get(top)
            if top not in known and top not in referred | _RUN_BY_MONAI:
                raise ConfigurationError(f"{file.name} sets what nothing reads", name, nearest(top, known))
            if not deeper or not isinstance(within, dict) or "_target_" in within or deeper[0] in within:
                continue
            if f"{top}::{deeper[0]}" not in referred:
                raise ConfigurationError(f"{file.name} sets what nothing reads", name, nearest(deeper[0], within))
        known = {**known, **{name: value for name, value in content.items() if not _LEVELS.search(name)}}


def read_config(file: Path) -> dict[str, Any]:
    """Give the names of a config as they are written, without the + that merges, and their values.

    Raises:
        ConfigurationError: It is no YAML.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        return {str(name).removeprefix("+"): value for name, value in content.items()}
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        raise ConfigurationError("cannot be read as YAML", file) from None
