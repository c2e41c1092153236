"""Finds where the pixels of a decoded film hold text that is no marker: `TextReader`. Needs the extra `ocr`.

The detector and the reader of PP-OCR, by rapidocr, whose models lie in its wheel. Each film is looked at as displayed
and with the stored greys of each neighbourhood spread, because letters may lie outside the window; small films are
enlarged, large ones looked at in tiles, and all of them reduced too, for large letters. The detector finds lines in any
direction and in both polarities; each is read in every direction. Anatomy that looks like text cannot be read, which
tells it apart. What was read stays here, for it may name the patient: only places are given.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from monai_xr.dicom.deidentification.markers import is_marker
from monai_xr.dicom.rendering.lookup import StoredFilm
from monai_xr.errors import InputDataError

MIN_SIDE = 96  # a smaller film holds letters that nobody can look for
_ENLARGED_SIDE, _MOST_ENLARGED = 1024, 6
_REDUCED_SIDE = 384
_TILE, _OVERLAP = 1024, 128
_NEIGHBOURHOODS = 24  # along the longer side
_DETECTED = 0.4  # scores between 0 and 1
# Measured at 512 px: planted names, dates and numbers of 10 px read at 0.92 and more, anatomy mostly below 0.75.
_READ = 0.8
_CLOSE = 0.1
_SQUARE, _LONG = 1.5, 3.0  # length of a line over its height
_SAME_PLACE, _WITHIN = 0.3, 0.9  # shares of area
_BLURRED = 15  # pixels of a place whose letters are lower than 10
# Shares of the shorter side of a film. The detector finds high letters in the reduced film; what is higher still is no
# line of letters.
_HIGH, _HIGHEST = 0.12, 0.5

Picture = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]  # top, left, bottom, right


@dataclass(frozen=True)
class _Line:
    """Something that looks like a line of text.

    Attributes:
        box: Its place.
        text: How surely it reads, in the best of its directions, as more than markers.
        marker: How surely it reads as markers.
    """

    box: Box
    text: float
    marker: float

    def is_marker(self) -> bool:
        """Tell a marker: surer as one than as more, for the side of a film is also how "Li" begins."""
        return self.marker >= _READ and self.marker > self.text + _CLOSE

    def is_text(self) -> bool:
        """Tell text from anatomy."""
        return self.text >= _READ and not self.is_marker()


class TextReader:
    """The models, loaded and warm, on one thread.

    Raises:
        ImportError: The extra `ocr` is not installed.
    """

    def __init__(self) -> None:
        import rapidocr
        from rapidocr.ch_ppocr_rec import TextRecInput
        from rapidocr.utils.process_img import get_rotate_crop_image

        models = Path(rapidocr.__file__).parent / "models"
        engine = rapidocr.RapidOCR(
            params={
                "Global.log_level": "critical",
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Det.model_path": str(_only(models, "*det*.onnx")),  # a path given is never downloaded
                "Det.limit_side_len": 32,
                "Det.box_thresh": _DETECTED,
                "Rec.model_path": str(_only(models, "*rec*.onnx")),
            }
        )
        cv2.setNumThreads(1)
        self._detect: Any = engine._load_det_model()
        self._read: Any = engine._load_rec_model()
        self._input, self._crop = TextRecInput, get_rotate_crop_image
        picture = np.zeros((64, 256), np.uint8)
        cv2.putText(picture, "READY", (20, 45), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 2)
        self._times = False
        self._add_from(picture, 1.0, [], heights=(0, 64))

    def look(self, film: StoredFilm, *, times: bool = False) -> tuple[Box, ...]:
        """Find the places of text that is no marker, in pixels of the upright film.

        Args:
            film: Decoded and upright.
            times: Times of exposure count as markers.

        Raises:
            InputDataError: Too small a film.
        """
        rows, columns = film.words.shape
        if min(rows, columns) < MIN_SIDE:
            raise InputDataError(f"below {MIN_SIDE} pixels on a side")
        self._times = times
        lines: list[_Line] = []
        for view in _views(film):
            self._add_lines(view, lines)
            # The detector was trained on upright lines: short ones that stand on end are found only turned.
            on_end: list[_Line] = []
            self._add_lines(np.ascontiguousarray(np.rot90(view)), on_end)
            lines += [replace(line, box=_turned_back(line.box, columns)) for line in on_end]
        markers = [line for line in lines if line.is_marker()]
        return tuple(
            line.box
            for line in lines
            if line.is_text()
            and not any(_is_within(line.box, marker.box) and marker.marker > line.text for marker in markers)
        )

    def _add_lines(self, view: Picture, lines: list[_Line]) -> None:
        longer = max(view.shape)
        least, high, most = (share * min(view.shape) for share in (0, _HIGH, _HIGHEST))
        self._add_from(view, min(_MOST_ENLARGED, _ENLARGED_SIDE / longer), lines, heights=(least, most))
        self._add_from(view, min(_MOST_ENLARGED, _REDUCED_SIDE / longer), lines, heights=(high, most))
        if longer <= _ENLARGED_SIDE:
            return
        for top in _starts(view.shape[0]):
            for left in _starts(view.shape[1]):
                part = view[top : top + _TILE, left : left + _TILE]
                self._add_from(part, 1.0, lines, heights=(least, most), corner=(top, left))

    def _add_from(
        self,
        part: Picture,
        scale: float,
        lines: list[_Line],
        *,
        heights: tuple[float, float],
        corner: tuple[int, int] = (0, 0),
    ) -> None:
        """Detect and read lines of some heights in a part of a picture; what is known is not read again."""
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        scaled = cv2.resize(part, None, fx=scale, fy=scale, interpolation=way)
        colour = cv2.cvtColor(scaled, cv2.COLOR_GRAY2BGR)
        boxes = self._detect(colour).boxes
        for quad in () if boxes is None else np.asarray(boxes, np.float32):
            box = _box(quad / scale, corner)
            sides = math.dist(quad[0], quad[1]), math.dist(quad[1], quad[2])
            if not heights[0] <= min(sides) / scale <= heights[1]:
                continue
            if not any(_is_same(box, line.box) and line.is_text() for line in lines):
                lines.append(self._line(colour, quad, scale, box))

    def _line(self, colour: Picture, quad: npt.NDArray[np.float32], scale: float, box: Box) -> _Line:
        crop = self._crop(colour, quad)
        height, width = crop.shape[:2]
        turns = (0, 2) if width > _SQUARE * height else (0, 1, 2, 3)
        found = self._read(self._input(img=[np.ascontiguousarray(np.rot90(crop, turn)) for turn in turns]))
        text = marker = 0.0
        is_long, is_blurred = max(height, width) > _LONG * min(height, width), min(height, width) / scale < _BLURRED
        for words, score in zip(found.txts, found.scores, strict=True):
            if is_marker(words, times=self._times, blurred=is_blurred):
                marker = max(marker, float(score))
            # One glyph alone names nobody; a long line that reads as one is text of which the rest could not be read.
            elif len(words.strip()) > 1 or (is_long and words.strip()):
                text = max(text, float(score))
        return _Line(box, text, marker)


def _box(quad: npt.NDArray[np.float32], corner: tuple[int, int]) -> Box:
    (left, top), (right, bottom) = np.floor(quad.min(axis=0)), np.ceil(quad.max(axis=0))
    return corner[0] + int(top), corner[1] + int(left), corner[0] + int(bottom), corner[1] + int(right)


def _turned_back(box: Box, columns: int) -> Box:
    """Give a box of a picture that was turned by a quarter, anticlockwise, in the picture as it was."""
    top, left, bottom, right = box
    return left, columns - bottom, right, columns - top


def _only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def _starts(length: int) -> list[int]:
    """Give where tiles begin that overlap and cover a length."""
    count = max(1, math.ceil((length - _OVERLAP) / (_TILE - _OVERLAP)))
    return [round(i * max(0, length - _TILE) / max(1, count - 1)) for i in range(count)]


def _is_same(one: Box, other: Box) -> bool:
    """Tell whether two boxes share most of their area."""
    shared = _shared(one, other)
    return shared > _SAME_PLACE * max(1, _area(one) + _area(other) - shared)


def _is_within(box: Box, other: Box) -> bool:
    return _shared(box, other) >= _WITHIN * _area(box)


def _shared(one: Box, other: Box) -> int:
    return _area((max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])))


def _area(box: Box) -> int:
    top, left, bottom, right = box
    return max(0, bottom - top) * max(0, right - left)


def _views(film: StoredFilm) -> tuple[Picture, Picture]:
    """Show the film as a viewer would, and with all stored greys told apart."""
    displayed = film.image().pixels
    words = film.words & film.words.dtype.type(film.table.size - 1)
    stored = words.astype(np.float32) / np.float32(film.table.size - 1)
    half = film.table.size // 2
    if abs(film.table[half] - film.table[half - 1]) > abs(film.table[0] - film.table[-1]):
        stored = (stored + np.float32(0.5)) % 1  # two's complement: the greys join where unsigned words end
    return np.rint(displayed * 255).astype(np.uint8), told_apart(stored)


def told_apart(pixels: npt.NDArray[np.float32]) -> Picture:
    """Stretch the greys of each neighbourhood to the full range, so that letters stand out from a like grey.

    >>> told_apart(np.linspace(0.4, 0.5, 64, dtype=np.float32).reshape(8, 8)).dtype
    dtype('uint8')
    """
    box = np.ones((max(pixels.shape) // _NEIGHBOURHOODS | 1,) * 2, np.uint8)
    smooth = (box.shape[0],) * 2
    low = cv2.blur(cv2.erode(pixels, box), smooth)
    high = cv2.blur(cv2.dilate(pixels, box), smooth)
    stretched = np.clip((pixels - low) / np.maximum(high - low, 1e-6), 0, 1)
    picture: Picture = np.rint(stretched * 255).astype(np.uint8)
    return picture
