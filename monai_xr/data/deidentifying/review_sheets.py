"""Writes sheets on which a person can find letters in the pixels of waiting images: `write_review_sheets`.

Each image is shown twice: as a viewer would, and with all stored greys spread, because letters may lie outside the
window. Bright and dark strokes both survive the reduction. Text that software found stands in a box.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image, ImageDraw, ImageFont

from monai_xr.data.deidentifying.deidentified_folder import DeidentifiedFolder, disk_trouble, encoded
from monai_xr.data.deidentifying.reviewing import WaitingImage
from monai_xr.dicom import read_xray
from monai_xr.dicom.deidentification.text_in_pixels import told_apart
from monai_xr.dicom.values import quiet
from monai_xr.disk import whole_file
from monai_xr.errors import InputDataError

SIDE = 640  # pixels of the longer side of a shown image
ROWS = 3  # images on a sheet
_CAPTION, _GAP = 18, 6
_SHAPES_GREYS = (
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "ModalityLUTSequence"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "PixelPaddingValue", "PixelPaddingRangeLimit"),
)
_ORIGINS = ("patient", "phantom")

Picture = npt.NDArray[np.uint8]


def write_review_sheets(output: str | Path, waiting: Sequence[WaitingImage]) -> tuple[Path, ...]:
    """Write the sheets into the quarantine, which is closed to others, and remove the former ones.

    Raises:
        HostError: No room or no permission.
    """
    place = DeidentifiedFolder(Path(output).expanduser())
    sheets = []
    with disk_trouble():
        place.remove_sheets()
        for number, start in enumerate(range(0, len(waiting), ROWS), start=1):
            path = place.quarantine / f"sheet-{number}.png"
            with whole_file(path) as file:
                _sheet(waiting[start : start + ROWS]).save(file, format="PNG")
            sheets.append(path)
    return tuple(sheets)


def _sheet(images: Sequence[WaitingImage]) -> Image.Image:
    pitch = SIDE + _CAPTION + _GAP
    sheet = Image.new("L", (2 * (SIDE + _GAP) + _GAP, len(images) * pitch + _GAP), 24)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for row, image in enumerate(images):
        top = _GAP + row * pitch
        shown, trouble = _both(image)
        caption = f"{image.name}   {image.reason}   {trouble or 'left: as displayed, right: all stored greys, spread'}"
        draw.text((_GAP, top), caption, fill=230, font=font)
        for column, picture in enumerate(shown):
            sheet.paste(_boxed(picture, image), (_GAP + column * (SIDE + _GAP), top + _CAPTION))
    return sheet


def _boxed(picture: tuple[Picture, int], image: WaitingImage) -> Image.Image:
    """Draw the boxes, white beside black, so that they show on any grey."""
    shown, step = Image.fromarray(picture[0]), picture[1]
    draw = ImageDraw.Draw(shown)
    for top, left, bottom, right in image.boxes:
        corners = (left // step - 3, top // step - 3, right // step + 3, bottom // step + 3)
        draw.rectangle(corners, outline=0, width=3)
        draw.rectangle(tuple(side + shift for side, shift in zip(corners, (1, 1, -1, -1), strict=True)), outline=255)
    return shown


def _both(image: WaitingImage) -> tuple[tuple[tuple[Picture, int], ...], str]:
    """Give the two pictures, each with how often it was reduced, or why there are none."""
    try:
        pictures = tuple(_views(image.path))
    except InputDataError as error:
        return (), f"cannot be shown: {error.what}"
    return pictures, ""


def _views(path: Path) -> Iterator[tuple[Picture, int]]:
    displayed = read_xray(path, decode="isolated", admit=_ORIGINS).pixels
    yield _reduced(np.rint(displayed * 255).astype(np.uint8))
    with quiet():
        ds = pydicom.dcmread(path)
    for keyword in _SHAPES_GREYS:
        if keyword in ds:
            delattr(ds, keyword)
    # P-values: the reader then shows the whole range of the stored bits.
    ds.PresentationLUTShape = "INVERSE" if ds.PhotometricInterpretation == "MONOCHROME1" else "IDENTITY"
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".view-", suffix=".part") as file:
        file.write(encoded(ds))
        file.flush()
        stored = read_xray(file.name, decode="isolated", admit=_ORIGINS).pixels
    yield _reduced(told_apart(stored))


def _reduced(picture: Picture) -> tuple[Picture, int]:
    """Reduce by a whole number to `SIDE`, keeping in each block the pixel that differs most from the block's middle."""
    step = -(-max(picture.shape) // SIDE)
    if step == 1:
        return picture, 1
    height, width = (side // step * step for side in picture.shape)
    blocks = picture[:height, :width].reshape(height // step, step, width // step, step)
    flat = blocks.transpose(0, 2, 1, 3).reshape(height // step, width // step, step * step)
    low, high, middle = flat.min(axis=2), flat.max(axis=2), np.median(flat, axis=2)
    reduced: Picture = np.where(high - middle >= middle - low, high, low).astype(np.uint8)
    return reduced, step
