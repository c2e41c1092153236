"""The folder of a prepared data set: checks before the work, what an earlier run knew, the manifest after the work."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from monai_xr.data.files.data_folder import MANIFEST, is_inside
from monai_xr.data.files.locks import locked
from monai_xr.data.files.output import write_text
from monai_xr.data.files.tables import csv_text
from monai_xr.data.pixel_store.pixel_cache import hashed_root, is_in_use, read_index
from monai_xr.data.preparing.preparation_result import Preparation
from monai_xr.data.sources.manifest import STORES
from monai_xr.disk import host_trouble, make_folder
from monai_xr.errors import ConfigurationError, InputDataError, XrError

_COLUMNS = (
    *("image", "label", "patient_id", "group_id", "split", "present", "absent", "origin", "view", "bits"),
    *("row_spacing_mm", "column_spacing_mm", "store", "row"),
)


def check_folders(root: Path, folder: Path) -> None:
    """Check where to read and write.

    Raises:
        ConfigurationError: No source; one folder inside the other; an output that is something else.
    """
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise ConfigurationError(f"source folder {found}", root, "name a folder of films")
    if is_inside(folder, root) or is_inside(root, folder):
        raise ConfigurationError("source and output lie in each other", folder, "choose another folder")
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError("output is a file", folder, "choose another folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / STORES).is_dir():
        raise ConfigurationError("folder is in use", folder, "choose a new or an empty folder")


def check_same(root: Path, folder: Path, wanted: Mapping[str, Any], *, overwrite: bool) -> None:
    """Refuse to mix two data sets in one folder.

    Raises:
        ConfigurationError: There is one of another source, size, fit or origins, and `overwrite` is off.
    """
    for store in (folder / STORES).glob("*px-*"):
        with suppress(InputDataError):
            index = read_index(store)
            found = {**index["settings"], "origins": ", ".join(index["settings"]["admit"])}
            differs = [name for name in ("size", "fit", "origins") if found[name] != wanted[name]]
            differs += ["source"] if index["root"] != hashed_root(root) else []
            if differs and not overwrite:
                raise ConfigurationError(
                    f"prepared before with another {' and '.join(differs)}",
                    folder,
                    "choose another folder, or --overwrite",
                )


@contextmanager
def gone_if_useless(folder: Path) -> Iterator[None]:
    """Remove a folder that was not there before where the work in it fails before the first film is decoded."""
    is_new = not folder.exists()
    try:
        yield
    except XrError:
        if is_new and not any((folder / STORES).glob("*px-*")):
            shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Let one process at a time work on a data set.

    Raises:
        ConfigurationError: Another one does.
    """
    make_folder(folder / STORES)
    refusal = ConfigurationError("another process prepares this folder", folder, "wait for it")
    with ExitStack() as held:
        with host_trouble(folder, "choose a folder of yours", what="cannot be written ({})"):
            held.enter_context(locked(folder, refusal))
        yield


def write_manifest(folder: Path, result: Preparation) -> None:
    """Write `manifest.csv`: a row for each image, with the place of its pixels."""
    rows = []
    assert result.cache is not None  # noqa: S101 - written after the pixels alone
    for record, place in zip(result.records, result.places, strict=True):
        facts = result.cache.facts[place]
        spacing = [f"{side:.6g}" for side in facts.spacing_mm] if facts.spacing_mm else ["", ""]
        findings = ["|".join(record.present), "|".join(record.absent)]
        ids = [record.shown, record.label, record.patient_id, record.group_id, record.split]
        where = [result.cache.folder.name, result.cache.rows[place]]
        rows.append([*ids, *findings, facts.origin, facts.view, facts.bits, *spacing, *where])
    write_text(folder / MANIFEST, csv_text(_COLUMNS, rows))


def remove_other_stores(folder: Path, result: Preparation) -> tuple[str, ...]:
    """Remove the stores that the manifest does not name any more and that nobody reads; say which ones stay."""
    named = result.cache.folder if result.cache else None
    others = [store for store in sorted((folder / STORES).glob("*px-*")) if store != named]
    used = [store for store in others if is_in_use(store)]
    for store in others:
        if store not in used:
            shutil.rmtree(store, ignore_errors=True)
    return tuple(f"the earlier store {store.name} is in use and stays until it is prepared again" for store in used)
