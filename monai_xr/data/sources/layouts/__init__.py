"""Reads known public data sets as their makers publish them, each by its own rules: `known_records`."""

from difflib import get_close_matches
from pathlib import Path

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
from monai_xr.data.sources.manifest import MANIFEST
from monai_xr.errors import ConfigurationError, InputDataError

LAYOUTS: tuple[Layout, ...] = tuple(
    module.LAYOUT for module in (chestxray14, covid_chestxray, covid_radiography, kermany, rsna_pneumonia, vindr_cxr)
)


def known_records(root: Path, layout: str) -> Records | None:
    """Read a folder as one of the known data sets.

    Args:
        root: The folder, as its makers publish it.
        layout: Name of the set; "auto" recognises it unless the folder has a manifest, "folder" is none.

    Raises:
        ConfigurationError: No such set, or the folder is not it.
        InputDataError: A table that is wrong; no image.
    """
    if layout == "folder":
        return None
    if layout == "auto":
        has_manifest = (root / MANIFEST).is_file()
        chosen = None if has_manifest else next((each for each in LAYOUTS if each.is_here(root)), None)
    else:
        chosen = _named(layout, root)
    if chosen is None:
        return None
    found = chosen.read(root)
    if not found.records:
        raise InputDataError(f"no image of {chosen.title} in it", root, "set dataset_dir to the folder of the set")
    return Records(root, found.records, f"layout of {chosen.title}", skipped=found.skipped, notes=found.notes)


def _named(name: str, root: Path) -> Layout:
    layouts = {each.name: each for each in LAYOUTS}
    if name not in layouts:
        nearest = get_close_matches(name, layouts, n=1)
        hint = f"did you mean {nearest[0]}? " if nearest else ""
        raise ConfigurationError(f"unknown data set {name!r}", "--from", f"{hint}auto, folder, {', '.join(layouts)}")
    if not layouts[name].is_here(root):
        raise ConfigurationError(
            f"this is not {layouts[name].title} as it is published", root, "name its own folder, or leave --from out"
        )
    return layouts[name]
