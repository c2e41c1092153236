"""Writes thumbnails with captions as one PNG sheet: `write_contact_sheet`."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from monai_xr.data.files.output import write_bytes
from monai_xr.data.images.montage import montage
from monai_xr.data.inspecting.film_report import THUMBNAIL_SIDE, Thumbnail
from monai_xr.errors import InputDataError

_COLUMNS = 8
_CAPTION = 16
_GAP = 6
_FRAME = 3
_WARNING = (230, 90, 60)
_TEXT = (210, 210, 210)


def write_contact_sheet(path: Path, cells: Sequence[tuple[Thumbnail, str, bool]]) -> None:
    """Write thumbnails in rows of eight.

    Args:
        path: PNG file to write.
        cells: Each a (128, 128) thumbnail, its caption, and whether it gets a frame.

    Raises:
        InputDataError: There is nothing to show.
    """
    if not cells:
        raise InputDataError("no film to show", path, "see the reasons in the table")
    columns = min(_COLUMNS, len(cells))
    sheet = montage(np.stack([_captioned(*cell) for cell in cells]), columns, border=(0, _GAP))
    stream = io.BytesIO()
    Image.fromarray(np.pad(sheet, ((_GAP, 0), (_GAP, 0), (0, 0)))).save(stream, format="PNG")
    write_bytes(path, stream.getbuffer())


def _captioned(thumbnail: Thumbnail, caption: str, is_framed: bool) -> Thumbnail:
    """Draw a thumbnail with its caption below, (144, 128, 3)."""
    cell = Image.new("RGB", (THUMBNAIL_SIDE, THUMBNAIL_SIDE + _CAPTION))
    cell.paste(Image.fromarray(thumbnail))
    draw = ImageDraw.Draw(cell)
    if is_framed:
        draw.rectangle((0, 0, THUMBNAIL_SIDE - 1, THUMBNAIL_SIDE - 1), outline=_WARNING, width=_FRAME)
    font = ImageFont.load_default(10)
    while caption and draw.textlength(caption, font) > THUMBNAIL_SIDE:
        caption = caption[:-1]
    draw.text((0, THUMBNAIL_SIDE + 2), caption, fill=_WARNING if is_framed else _TEXT, font=font)
    return np.asarray(cell)
