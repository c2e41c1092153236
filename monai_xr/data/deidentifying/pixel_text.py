"""Looks for text in the pixels of a de-identified image and blacks it out: `looked_at`, `cleaned`.

An image goes out only after it was looked at: whatever could not be looked at waits for a person.
"""

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from monai_xr.data.deidentifying.deidentified_folder import encoded
from monai_xr.dicom.deidentification.blacking_out import black_out
from monai_xr.dicom.deidentification.data_set import METHOD
from monai_xr.dicom.sandbox.isolated_reading import can_look_for_text, look_for_text
from monai_xr.errors import ConfigurationError, InputDataError, PassingError

NO_READER = "pixels not looked at: the extra ocr is not installed"
NOT_THIS_TIME = "pixels not looked at this time"
TEXT_FOUND = "text in its pixels"
SOFTWARE_LOOKED = "pixels looked at for text by software"
BLACKED_OUT = "text in the pixels blacked out, then looked at again by software"
_ROUNDS = 5

Boxes = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class Looked:
    """What was seen.

    Args:
        reason: Why the image waits; "" where nothing was found.
        boxes: Top, left, bottom, right of each text in the upright film.
    """

    reason: str
    boxes: Boxes = ()


def looked_at(image: bytes, folder: Path, *, admit: Collection[str], times: bool) -> Looked:
    """Look for text in an image.

    Args:
        image: The DICOM file that would go out.
        folder: Where it may lie for that time, closed to others.
        admit: Origins that may be looked at.
        times: Times of exposure may stay.

    Raises:
        HostError: No child can be started.
    """
    if not can_look_for_text():
        return Looked(NO_READER)
    try:
        boxes = _boxes(image, folder, admit=admit, times=times)
    except PassingError as error:
        return Looked(f"{NOT_THIS_TIME}: {error.what}")
    except InputDataError as error:
        return Looked(f"pixels not looked at: {error.what}")
    return Looked(TEXT_FOUND, boxes) if boxes else Looked("")


def cleaned(path: Path, boxes: Boxes, *, admit: Collection[str], times: bool) -> Dataset:
    """Black out the text of a waiting image, looking again until none is found.

    Args:
        path: The image, in a folder that is closed to others.
        boxes: Where text is known to be.
        admit: Origins that may be looked at.
        times: Times of exposure may stay.

    Raises:
        ConfigurationError: The extra `ocr` is not installed, or there is no text to black out.
        InputDataError: It cannot be looked at, or text is found again and again.
    """
    seen = list(boxes or look_for_text(path, admit=admit, times=times).boxes)
    if not seen:
        raise ConfigurationError("no text is found to black out", "blank", "look at its sheet, then release or reject")
    for _ in range(_ROUNDS):
        try:
            ds = black_out(path, seen, admit=admit)
        except InputDataError as error:
            raise InputDataError(error.what, path, error.way_out) from None
        found = _boxes(encoded(ds), path.parent, admit=admit, times=times)
        if not found:
            return ds
        seen += found
    raise InputDataError("text is still found after it was blacked out", path, "reject it, or release it as it is")


def vouch(ds: Dataset, how: str) -> None:
    """Say that the pixels name nobody, and how that is known."""
    ds.BurnedInAnnotation = "NO"
    ds.DeidentificationMethod = [METHOD, how]


def _boxes(image: bytes, folder: Path, *, admit: Collection[str], times: bool) -> Boxes:
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".view-", suffix=".part") as file:
        file.write(image)
        file.flush()
        return look_for_text(file.name, admit=admit, times=times).boxes
