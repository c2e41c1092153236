"""Reads configs as they are written, and refuses names in overlays that nothing reads: `check_overlays`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from monai_xr.errors import ConfigurationError
from monai_xr.workflows.bundle_running.bundle_folders import nearest

LEVELS = re.compile("::|#")
_REFERENCE = re.compile(r"[@%](\w+(?:(?:::|#)\w+)*)")
_SECTIONS = ("train", "validate")  # whose parts are known; what any other name holds may be arguments
_RUN_BY_MONAI = frozenset(("imports", "initialize", "finalize", "run"))


def check_overlays(files: Sequence[Path]) -> None:
    """Refuse names in config files behind the first that no config before them has, and that nothing refers to.

    Such a name is misspelt, or of another family; MONAI merges it and never looks at it.

    Raises:
        ConfigurationError: Naming the nearest that is known, or a file that is no YAML.
    """
    first, *others = (read_config(file) for file in files)
    names, referred = set(first), _referred(files)
    parts = {name: set(first[name]) for name in _SECTIONS if isinstance(first.get(name), dict)}
    for file, content in zip(files[1:], others, strict=True):
        for name, value in content.items():
            top, *deeper = LEVELS.split(name.removeprefix("+"))
            if top not in names | referred | _RUN_BY_MONAI:
                raise ConfigurationError(f"{file.name} sets what nothing reads", name, nearest(top, names))
            names.add(top)
            if top not in parts:
                continue
            for part in deeper[:1] or (value if isinstance(value, dict) else ()):
                if part not in parts[top] and f"{top}::{part}" not in referred:
                    told = nearest(part, parts[top])
                    raise ConfigurationError(f"{file.name} sets what nothing reads", f"{top}::{part}", told)


def read_config(file: Path) -> dict[str, Any]:
    """Give the names of a config as they are written, `+name` and `name::part` among them, and their values.

    Raises:
        ConfigurationError: It is no YAML.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        return {str(name): value for name, value in content.items()}
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        raise ConfigurationError("cannot be read as YAML", file) from None


def _referred(files: Sequence[Path]) -> set[str]:
    """Give what `@name::part` and `%name` name in the files, and what each of these lies in."""
    found = {each for file in files for each in _REFERENCE.findall(file.read_text(encoding="utf-8"))}
    levels = (LEVELS.split(each) for each in found)
    return {"::".join(each[: depth + 1]) for each in levels for depth in range(len(each))}
