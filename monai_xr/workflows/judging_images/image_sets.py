"""A folder of images in; one tensor of them out, with their patients and what a reader must know about them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_xr.data import Record, Records, find_records
from monai_xr.data.images.tiles import FULL_SCALE
from monai_xr.data.pixel_store.building import build_store
from monai_xr.data.trained_on import TrainedOn, units_in
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.runs import RunFolder, note_opening

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
    reasons = Counter(skipped.reason for skipped in (*records.skipped, *cache.refused))
    notes = tuple(f"{count} {name} file(s) left out: {reason}." for reason, count in reasons.most_common())
    labels = tuple(record.label for record in cache.records)
    return ImageSet(pixels, known if all(known) else None, notes, cache.manifest_sha256, labels, units_in(cache))


def find_real(
    folder: str | Path,
    *,
    classes: str | Sequence[str] | None,
    split: str | None,
    held_out_split: str | None,
    no_patients: bool = False,
) -> dict[str, Records]:
    """Find the real images, and the held-out ones where a split of them is named, as "real" and "held-out".

    Arguments as in `find_records`. Without held-out images, all of a folder that has no splits are real ones.

    Raises:
        ConfigurationError: No such folder, class or split; splits that share images.
        InputDataError: No image.
    """
    deal = held_out_split is not None
    found = {"real": find_records(folder, classes=classes, split=split, deal=deal, no_patients=no_patients)}
    if held_out_split is not None:
        found["held-out"] = find_records(folder, classes=classes, split=held_out_split, no_patients=no_patients)
        if {record.image for record in found["real"]} & {record.image for record in found["held-out"]}:
            raise ConfigurationError(
                "held-out images are among the real ones", "held_out_split", "set `split` and another `held_out_split`"
            )
    return found


def open_held_out(images: ImageSet, source: Records, behind: TrainedOn, training: RunFolder | None) -> tuple[str, ...]:
    """Refuse held-out images that a generator knows, and note in the record of its training that they were opened.

    Returns:
        What a reader must know of the comparison.

    Raises:
        InputDataError: The generator knows some of them.
        HostError: The record cannot be written.
    """
    way_out = "name a split that the generator was not trained on"
    behind.refuse(images.units, "held out are known to the generator", way_out, where=source.root)
    if training:
        sha256 = images.manifest_sha256
        note_opening(training.path, source.split_used, films=len(images.labels), data_sha256=sha256)
    return tuple(filter(None, [behind.cannot_tell(source)]))


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
    wanted = {name.strip() for name in (classes.split(",") if isinstance(classes, str) else classes)}
    if not wanted & set(records.classes):
        notes.append("The synthetic folder does not name these classes: all its images were used.")
        return records, tuple(notes)
    missing = sorted(wanted - set(records.classes))
    if missing:
        raise InputDataError(f"no synthetic images of {', '.join(missing)}", records.root, "leave it out of `classes`")
    return records.keeping(record for record in records if record.label in wanted), tuple(notes)


def sample_grids(sets: Mapping[str, Tensor], *, seed: int, count: int = 36) -> dict[str, NDArray[Any]]:
    """Draw images of each set (N, 1, H, W) for a report, by caption; drawn, so that none is picked for its looks."""
    grids = {}
    for name, images in sets.items():
        shown = min(count, len(images))
        drawn = np.random.default_rng(seed).choice(len(images), size=shown, replace=False)
        how = f"{shown} of {len(images)} drawn at random" if shown < len(images) else f"all {shown}"
        grids[f"{name.capitalize()} images, {how}"] = images[torch.from_numpy(drawn)].cpu().numpy()
    return grids


def closest_pairs(sets: Mapping[str, Tensor], closest: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Draw pairs for a report, each synthetic image left of its nearest training image, by caption.

    Args:
        sets: Images (N, 1, H, W) in [0, 1] of the sets "synthetic" and "real".
        closest: Index of the synthetic and of the training image of each pair, (K, 2).
    """
    synthetic, training = closest.T
    if not len(synthetic):
        return {}
    sides = [sets["synthetic"][synthetic, 0], sets["real"][training, 0]]
    pairs = np.pad(torch.cat(sides, dim=2).cpu().numpy(), ((0, 0), (2, 2), (4, 4)))  # (K, H + 4, 2 W + 8)
    caption = f"The {len(pairs)} synthetic images nearest to a training image in pixels: left synthetic, right training"
    return {caption: pairs}
