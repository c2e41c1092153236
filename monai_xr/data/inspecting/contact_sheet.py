"""Writes thumbnails with captions as one PNG sheet: `write_contact_sheet`."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from monai_xr.data.files.output import write_bytes
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
        HostError: The file cannot be written.
    """
    if not cells:
        raise InputDataError("no film to show", path, "see the reasons in the table")
    pitch_x, pitch_y = THUMBNAIL_SIDE + _GAP, THUMBNAIL_SIDE + _CAPTION + _GAP
    columns = min(_COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * pitch_x + _GAP, rows * pitch_y + _GAP), (24, 24, 24))
    for place, cell in enumerate(cells):
        corner = (_GAP + place % columns * pitch_x, _GAP + place // columns * pitch_y)
        _draw_cell(sheet, corner, cell)
    stream = io.BytesIO()
    sheet.save(stream, format="PNG")
    write_bytes(path, stream.getbuffer())


def _draw_cell(sheet: Image.Image, corner: tuple[int, int], cell: tuple[Thumbnail, str, bool]) -> None:
    thumbnail, caption, framed = cell
    left, top = corner
    sheet.paste(Image.fromarray(thumbnail), corner)
    draw = ImageDraw.Draw(sheet)
    if framed:
        box = (left - 1, top - 1, left + THUMBNAIL_SIDE, top + THUMBNAIL_SIDE)
        draw.rectangle(box, outline=_WARNING, width=_FRAME)
    font = ImageFont.load_default(10)
    while caption and draw.textlength(caption, font) > THUMBNAIL_SIDE:
        caption = caption[:-1]
    draw.text((left, top + THUMBNAIL_SIDE + 2), caption, fill=_WARNING if framed else _TEXT, font=font)
