"""Reads a DICOM file as an upright `XrayImage`: `read_xray`, by which all DICOM pixels come in."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset

from monai_xr.dicom.chest import chest_doubt
from monai_xr.dicom.header import open_dicom, parse_header, vr_form_note
from monai_xr.dicom.identity import admitted, burned_in, identity_notes, sop_class, sop_instance, view_position
from monai_xr.dicom.image import Array, Pixels, XrayImage
from monai_xr.dicom.pixels.decoding import Frame, decode_frame
from monai_xr.dicom.pixels.layout import PixelLayout, pixel_layout
from monai_xr.dicom.rendering.colour import grey_of_frame, palette_table
from monai_xr.dicom.rendering.grayscale import GrayscaleRules, grayscale_rules
from monai_xr.dicom.rendering.lookup import StoredFilm
from monai_xr.dicom.rendering.orientation import Turn, turn_upright
from monai_xr.dicom.rendering.spacing import aspect_notes, pixel_spacing
from monai_xr.dicom.sandbox.isolated_reading import read_isolated
from monai_xr.dicom.values import text, uid
from monai_xr.errors import ConfigurationError, InputDataError, PassingError, naming


def read_xray(
    path: str | os.PathLike[str],
    *,
    frame: int | None = None,
    window: int | str = 0,
    decode: Literal["direct", "isolated"] = "direct",
    admit: Collection[str] = ("patient",),
) -> XrayImage:
    """Read a projection X-ray: CR, DX, MG, XA, RF, or one stored as Secondary Capture.

    The order is that of PS3.4 section N.2: decode, Modality LUT or rescale, VOI LUT or window, polarity, padding to
    background; then the film is turned upright. A film without a window shows its full range if it has 8 bits or
    P-values (PresentationLUTShape), else from its 0.1 to its 99.9 percentile. Pixels that are not square
    (PixelAspectRatio) stay as stored.

    Args:
        path: A DICOM file, whatever its name.
        frame: Which frame of several, from 0; a file with several frames is refused without it.
        window: Which of the VOI LUTs and windows of the file, LUTs first, counted from 0, or its name there, such as
            "HARDER"; 0 takes the first usable.
        decode: "isolated" reads in a child process with limits of memory and time: for files nobody vouches for.
        admit: Origins that may be read: "patient", "phantom", "generated".

    Raises:
        InputDataError: The file cannot be read right; the message says why.
        PassingError: This machine could not read it this time.
        ConfigurationError: An argument is out of range.

    >>> image = read_xray(film, admit=["phantom"])
    >>> image.pixels.shape, image.view, image.spacing_mm
    ((32, 32), 'PA', (0.5, 0.5))
    """
    _check_arguments(frame, window, decode)
    read = read_isolated if decode == "isolated" else read_stored
    with naming(Path(path)):
        try:
            return read(path, frame=frame, window=window, admit=admit).image()
        except MemoryError:
            raise PassingError("it needs more memory than allowed") from None


def _check_arguments(frame: int | None, window: int | str, decode: str) -> None:
    if frame is not None and frame < 0:
        raise ConfigurationError(f"{frame} is no frame", "frame", "count from 0")
    if isinstance(window, int) and window < 0:
        raise ConfigurationError(f"{window} is no window", "window", "count from 0")
    if decode not in ("direct", "isolated"):
        raise ConfigurationError("unknown way to decode", "decode", "direct or isolated")


def read_stored(
    path: str | os.PathLike[str], *, frame: int | None, window: int | str, admit: Collection[str]
) -> StoredFilm:
    """Do all of `read_xray` but the last step, the look-up.

    Raises:
        InputDataError: As `read_xray`, without the name of the file.
    """
    with open_dicom(path) as file:
        ds = parse_header(file)
        origin = admitted(ds, admit)
        header = _header(ds, window)
        spacing = pixel_spacing(ds)
        decoded = decode_frame(file, ds, header.layout, _chosen_frame(frame, header.layout.frames))
    words, table, steps = _developed(ds, header, decoded)
    facts = {
        "spacing_mm": header.turn.spacing(spacing[0]) if spacing else None,
        "spacing_source": spacing[1] if spacing else None,
        "bits": header.layout.bits_stored,
        "modality": text(ds, "Modality"),
        "view": view_position(ds),
        "laterality": text(ds, "ImageLaterality") or text(ds, "Laterality"),
        "patient_id": text(ds, "PatientID"),
        "study_instance_uid": uid(ds, "StudyInstanceUID"),
        "series_instance_uid": uid(ds, "SeriesInstanceUID"),
        "sop_instance_uid": sop_instance(ds),
        "sop_class_uid": sop_class(ds),
        "transfer_syntax": header.layout.syntax,
        "photometric": header.layout.photometric,
        "burned_in": burned_in(ds),
        "origin": origin,
        "provenance": steps,
        "chest_doubt": chest_doubt(ds),
    }
    return StoredFilm(words, table, facts)


@dataclass(frozen=True)
class _Header:
    """What the header says of the pixels, checked before any is decoded."""

    layout: PixelLayout
    rules: GrayscaleRules | None
    turn: Turn
    history: tuple[str, ...]


def _header(ds: Dataset, window: int | str) -> _Header:
    layout = pixel_layout(ds, str(ds.file_meta.TransferSyntaxUID))
    monochrome = layout.photometric.startswith("MONOCHROME")
    history = tuple(
        f"{keyword} {found} recorded, not applied"
        for keyword in ("FieldOfViewRotation", "FieldOfViewHorizontalFlip")
        if (found := text(ds, keyword))
    )
    return _Header(
        layout=layout,
        rules=grayscale_rules(ds, layout, window) if monochrome else None,
        turn=turn_upright(text(ds, "PatientOrientation")),
        history=(*identity_notes(ds), *history, *aspect_notes(ds)),
    )


def _chosen_frame(frame: int | None, frames: int) -> int:
    if frame is None and frames > 1:
        raise InputDataError(f"{frames} frames", way_out=f"choose one: frame=0 to {frames - 1}")
    if frame is not None and frame >= frames:
        raise InputDataError(f"frame {frame} is asked for, the file has {frames} (counted from 0)")
    return frame or 0


def _developed(ds: Dataset, header: _Header, decoded: Frame) -> tuple[Array, Pixels, tuple[str, ...]]:
    """Turn decoded words upright, make the table that shows them and list the steps."""
    layout, rules = header.layout, header.rules
    steps: tuple[str, ...]
    words = decoded.words
    if rules:
        table, steps = rules.table(words)
    elif layout.samples == 3:
        words, steps = grey_of_frame(decoded, layout.photometric)
        table = np.linspace(0, 1, 256, dtype=np.float32)
    else:
        table, steps = palette_table(ds, layout, words)
    steps = (_source(ds, decoded), *decoded.notes, *steps, *header.history, header.turn.name)
    return header.turn.apply(words), table, steps


def _source(ds: Dataset, decoded: Frame) -> str:
    """Name the transfer syntax, what contradicts it, and the decoder."""
    found = vr_form_note(ds)
    parts = (ds.file_meta.TransferSyntaxUID.name, f", {found}" * bool(found))
    return "".join((*parts, f" decoded by {decoded.decoder}" * bool(decoded.decoder)))
