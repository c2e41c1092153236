"""Pixels and speed of reading beside radreader, one thread, film by film: `python bench_radreader.py`.

Real films of the folder that MONAI_XR_DATA names, and films as public sets and odd senders make them. Skips where
radreader is not installed, which is no dependency. Exits with 1 if a film of a megapixel or more, which both show the
same, is read slower than by radreader without its checks.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import importlib
import importlib.util
import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom.uid as uids
from pairs import compare

sys.path.append(str(Path(__file__).parents[1]))
from dicom import public_sets
from dicom.test_reading_optional_values import table
from films import film_dataset, save_film

from monai_xr.dicom import read_xray
from monai_xr.errors import InputDataError

PAIRS = 10
SAME = 1.5 / 255
FEWEST_TIMED = 1_000_000  # pixels; smaller films show the cost of Python around the header


def made_films(folder: Path) -> Iterator[Path]:
    """Films of 512 x 448 pixels, one oddity each."""
    across = np.add.outer(np.arange(512) * 3, np.arange(448) * 5) % 4096
    pixels = across.astype(np.uint16)
    for kind in public_sets.SETS:
        yield public_sets.write(folder / f"{kind}.dcm", kind, pixels)
    window: dict[str, Any] = {"bits": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    lossless = imagecodecs.jpeg8_encode(pixels, lossless=True, bitspersample=12)
    rgb = np.repeat((pixels >> 4).astype(np.uint8)[..., None], 3, axis=2)
    stained = np.minimum(rgb.astype(int) + np.array([3, 0, 0]), 255).astype(np.uint8)
    plain, jpeg = uids.ExplicitVRLittleEndian, uids.JPEGLosslessSV1
    films: dict[str, tuple[np.ndarray, str, Any, dict[str, Any]]] = {
        "HighBit missing": (pixels, plain, None, {**window, "HighBit": None}),
        "decreasing VOI LUT": (pixels, plain, None, {"bits": 12, "VOILUTSequence": [falling(4095)]}),
        "VOI LUT of 12 bits that says 16": (
            pixels,
            plain,
            None,
            {"bits": 12, "VOILUTSequence": [table(list(range(4096)), 16)]},
        ),
        "second window is 0.5 wide": (
            pixels,
            plain,
            None,
            {"bits": 12, "WindowCenter": [2048, 1], "WindowWidth": ["4096", "0.5"]},
        ),
        "first center empty": (
            pixels,
            plain,
            None,
            {"bits": 12, "WindowCenter": "\\2048", "WindowWidth": "400\\4096"},
        ),
        "slope 0": (pixels, plain, None, {**window, "RescaleSlope": 0, "RescaleIntercept": 0}),
        "truncated JPEG Lossless": (pixels, jpeg, lossless[: len(lossless) // 2] + b"\xff\xd9", window),
        "bytes behind the end of JPEG": (pixels, jpeg, lossless + b"abc", window),
        "grey in RGB": (rgb, plain, None, {}),
        "red + 3": (stained, plain, None, {}),
    }
    for name, (values, syntax, stream, tags) in films.items():
        ds = film_dataset(values, **tags)
        yield save_film(folder / f"{name}.dcm", ds, values.tobytes() if stream is None else stream, syntax)


def falling(top: int) -> Any:
    return table(list(range(top, -1, -1)), 12)


def shown(read: Any, film: Path) -> tuple[np.ndarray | None, str]:
    """The pixels, or the reason why there are none."""
    try:
        return np.asarray(read(film).pixels), ""
    except Exception as error:  # radreader has kinds of its own
        reason = error.what if isinstance(error, InputDataError) else str(getattr(error, "message", error))
        return None, reason


def apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference; radreader does not turn films upright."""
    turned = (turn for turn in (theirs, theirs[:, ::-1], theirs[::-1], theirs[::-1, ::-1]) if turn.shape == ours.shape)
    return min((float(np.abs(ours - turn).max()) for turn in turned), default=1.0)


def both(film: Path, theirs: Any) -> bool:
    """Compare one film in pixels, and in speed where both show the same; print a line."""
    (a, reason), (b, their_reason) = shown(read_xray, film), shown(theirs, film)
    if a is None or b is None:
        print(f"     {film.stem}: we {reason or 'read it'} | radreader {their_reason[:110] or 'reads it'}")
        return True
    difference = apart(a, b)
    if difference > SAME:
        print(f"     {film.stem}: pixels up to {difference:.3f} apart, median {np.median(np.abs(a - b)):.3f}")
        return True
    name = f"{film.stem} (pixels within {difference:.1g})"
    if a.size < FEWEST_TIMED:
        print(f"     {name}")
        return True
    return compare(name, partial(read_xray, film), partial(theirs, film), 1.0, pairs=PAIRS)


def main() -> int:
    if importlib.util.find_spec("radreader") is None:
        print("skipped: radreader is not installed")
        return 0
    radreader = importlib.import_module("radreader")
    warnings.simplefilter("ignore")
    logging.disable()
    theirs = partial(radreader.read, qc="off")
    data = Path(os.environ.get("MONAI_XR_DATA", Path(__file__).parents[3] / "shared" / "data")) / "dicom"
    with tempfile.TemporaryDirectory() as name:
        real = sorted(data.rglob("*.dcm")) if data.is_dir() else []
        results = [both(film, theirs) for film in (*real, *made_films(Path(name)))]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
