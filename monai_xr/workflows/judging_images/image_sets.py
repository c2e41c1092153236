"""Loads a folder of images as one tensor, with patients, classes and doubts: `load_image_set`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_xr.data import Record, Records, build_store, find_records
from monai_xr.data.images.tiles import FULL_SCALE
from monai_xr.data.records import reasons
from monai_xr.data.trained_on import units_in
from monai_xr.errors import InputDataError
from monai_xr.settings import parse_names

Transform = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class ImageSet:
    """Images of one kind.

    Args:
        pixels: (N, 1, H, W) in [0, 1].
        patients: Patient, or else group, of each image; None where one is unknown.
        notes: What was left out, as sentences.
        manifest_sha256: Which files these are.
        labels: Class of each image.
        units: Whose films these are, see `monai_xr.data.trained_on.units_in`.
    """

    pixels: Tensor
    patients: tuple[str, ...] | None
    notes: tuple[str, ...]
    manifest_sha256: str
    labels: tuple[str, ...]
    units: frozenset[str] = frozenset()

    def mapped(self, transform: Transform) -> "ImageSet":
        """Give the set with every image (H, W) put through a transform."""
        images = [transform(image) for image in self.pixels[:, 0].numpy()]
        return replace(self, pixels=torch.from_numpy(np.stack(images))[:, None])

    def some(self, rows: NDArray[np.int64]) -> "ImageSet":
        """Give the images of some rows, in their order."""
        patients = None if self.patients is None else tuple(self.patients[row] for row in rows)
        labels = tuple(self.labels[row] for row in rows)
        return replace(self, pixels=self.pixels[torch.from_numpy(rows)], patients=patients, labels=labels)

    def of_class(self, label: str) -> "ImageSet":
        """Give the images of one class."""
        return self.some(np.flatnonzero(np.asarray(self.labels) == label))


def load_image_set(
    records: Records, *, name: str, image_size: int, admit: tuple[str, ...], cache_dir: Path
) -> ImageSet:
    """Read images once into the cache, and from there into memory.

    Args:
        records: The images.
        name: How notes call the set.
        image_size: Pixels on a side.
        admit: Origins that are let in: "patient", "phantom", "generated".
        cache_dir: Holds the caches.

    Raises:
        InputDataError: No usable image.
        HostError: No room or permission for the cache.
    """
    cache = build_store(records, size=image_size, folder=cache_dir, admit=admit)
    pixels = torch.from_numpy(cache.pixels.astype(np.float32) / np.float32(FULL_SCALE))[:, None]
    known = tuple(record.patient_id or record.group_id for record in cache.records)
    left_out = reasons((*records.skipped, *cache.refused))
    notes = tuple(f"{count} {name} file(s) left out: {reason}." for reason, count in left_out.items())
    labels = tuple(record.label for record in cache.records)
    return ImageSet(pixels, known if all(known) else None, notes, cache.manifest_sha256, labels, units_in(cache))


def find_synthetic(folder: str | Path, classes: str | Sequence[str] | None) -> tuple[Records, tuple[str, ...]]:
    """Find generated images of some classes; all of the folder, with a note, where it names none of these classes.

    Of the output folder of a training its images are taken, not the grids beside them.
    Where a generator wrote PNG and DICOM files, the PNG files are taken: the mark burned into the DICOM pixels would
    make images look alike. Of DICOM files alone a note says so.
    """
    records = find_records(folder)
    notes = []
    if records.source == "DICOM folder":
        pictures = sorted(records.root.rglob("*.png"))
        if pictures:
            items = tuple(Record(path, path.parent.name, "", "", "") for path in pictures)
            records = Records(records.root, items, "PNG/JPEG folder")
        else:
            notes.append("The mark burned into synthetic DICOM files raises their likeness; PNG files have none.")
    if classes is None:
        return records, tuple(notes)
    wanted = set(parse_names(classes, records.classes) or ())
    if not wanted & set(records.classes):
        notes.append("The synthetic folder does not name these classes: all its images were used.")
        return records, tuple(notes)
    missing = sorted(wanted - set(records.classes))
    if missing:
        raise InputDataError(f"no synthetic images of {', '.join(missing)}", records.root, "leave it out of `classes`")
    return records.keeping(record for record in records if record.label in wanted), tuple(notes)
