"""Public names of a package imported when they are first used: `used_when_asked`."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def used_when_asked(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Give the `__getattr__` of a package whose names stand in the modules `homes`, by name, below it."""

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return find
