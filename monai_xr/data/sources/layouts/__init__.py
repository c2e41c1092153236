"""Reads known public data sets as their makers publish them, each by its own rules: `known_records`."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from monai_xr.data.files.data_folder import TABLES
from monai_xr.data.records import Records
from monai_xr.data.sources.layouts import (
    chestxray14,
    covid_chestxray,
    covid_radiography,
    kermany,
    rsna_pneumonia,
    vindr_cxr,
)
from monai_xr.data.sources.layouts.layout import Layout
from monai_xr.errors import ConfigurationError, InputDataError

LAYOUTS: tuple[Layout, ...] = tuple(
    module.LAYOUT for module in (chestxray14, covid_chestxray, covid_radiography, kermany, rsna_pneumonia, vindr_cxr)
)


def known_records(root: Path, layout: str) -> Records | None:
    """Read a folder as one of the known data sets.

    Args:
        root: The folder, as its makers publish it.
        layout: Name of the set; "auto" recognises it, also in one outer folder, unless the folder has a table of its
            own (manifest.csv, labels.csv); "folder" is none.

    Raises:
        ConfigurationError: No such set, or the folder is not it.
        InputDataError: A table that is wrong; no image.
    """
    if layout == "folder":
        return None
    if layout == "auto":
        has_table = any((root / name).is_file() for name in TABLES)
        place, chosen = (root, None) if has_table else _recognised(root, LAYOUTS)
    else:
        place, chosen = _recognised(root, (_named(layout),))
        if chosen is None:
            title, way_out = _named(layout).title, "name its own folder, or leave --from out"
            raise ConfigurationError(f"this is not {title} as it is published", root, way_out)
    if chosen is None:
        return None
    root, found = place, chosen.read(place)
    if not found.records:
        raise InputDataError(f"no image of {chosen.title} in it", root, "set dataset_dir to the folder of the set")
    return Records(root, found.records, f"layout of {chosen.title}", skipped=found.skipped, notes=found.notes)


def _recognised(root: Path, layouts: Iterable[Layout]) -> tuple[Path, Layout | None]:
    """Give the set that a folder holds, or that the only one of its folders with a known set holds, and where it is."""
    inside = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    for places in ([root], inside):
        found = [(place, each) for place in places for each in layouts if each.is_here(place)]
        if len({place for place, _ in found}) == 1:
            return found[0]
    return root, None


def _named(name: str) -> Layout:
    layouts = {each.name: each for each in LAYOUTS}
    if name not in layouts:
        nearest = get_close_matches(name, layouts, n=1)
        hint = f"did you mean {nearest[0]}? " if nearest else ""
        raise ConfigurationError(f"unknown data set {name!r}", "--from", f"{hint}auto, folder, {', '.join(layouts)}")
    return layouts[name]
