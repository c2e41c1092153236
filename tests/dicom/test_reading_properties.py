"""Random depths, signs, photometrics and windows against the formulas of the standard, one pixel at a time."""

import math

import imagecodecs
import numpy as np
import pydicom.uid as uids
import pytest
import rle
from drawn import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_xr.dicom import read_xray
from monai_xr.errors import InputDataError

PICTURE = (np.add.outer(np.arange(40) * 61, np.arange(30) * 17) % 4096).astype(np.uint16)
STREAMS = {
    uids.JPEGLosslessSV1: imagecodecs.jpeg8_encode(PICTURE, lossless=True, bitspersample=12),
    uids.JPEGExtended12Bit: imagecodecs.jpeg8_encode(PICTURE, level=90, bitspersample=12),
    uids.JPEGLSLossless: imagecodecs.jpegls_encode(PICTURE),
    uids.JPEG2000Lossless: imagecodecs.jpeg2k_encode(PICTURE, codecformat="j2k", reversible=True, level=0),
    uids.HTJ2KLossless: imagecodecs.htj2k_encode(PICTURE, reversible=True),
    uids.RLELossless: bytes(
        rle.encode_pixel_data(
            PICTURE.tobytes(),
            rows=40,
            columns=30,
            samples_per_pixel=1,
            bits_allocated=16,
            bits_stored=16,
            number_of_frames=1,
            byteorder="<",
        )
    ),
}
QUARTERS = st.integers(-40_000, 40_000).map(lambda n: n / 4)


@st.composite
def films(draw):
    bits = draw(st.integers(2, 16))
    signed = draw(st.booleans())
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    values = draw(st.lists(st.integers(low, high), min_size=6, max_size=6))
    function = draw(st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]))
    width = draw(st.integers(4 if function == "LINEAR" else 1, 200_000).map(lambda n: n / 4))
    return {
        "bits": bits,
        "signed": signed,
        "values": values,
        "photometric": draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"])),
        "shape": draw(st.sampled_from([None, "IDENTITY", "INVERSE"])),
        "function": function,
        "center": draw(QUARTERS),
        "width": width,
        "slope": draw(st.sampled_from([1, -1, 0.5, 2, 3.25])),
        "intercept": draw(QUARTERS),
        "padding": draw(st.one_of(st.none(), st.sampled_from(values))),
        "junk": draw(st.lists(st.integers(0, 2**16 - 1), min_size=6, max_size=6)),
    }


def displayed(stored: int, film: dict) -> float:
    """PS3.3 sections C.11.1, C.11.2.1.2, C.11.2.1.3 and C.11.6, as they are written there."""
    if stored == film["padding"]:
        return 0.0
    x, c, w = stored * film["slope"] + film["intercept"], film["center"], film["width"]
    if film["function"] == "SIGMOID":
        exponent = -4 * (x - c) / w
        y = 0.0 if exponent > 700 else 1 / (1 + math.exp(exponent))
    elif film["function"] == "LINEAR_EXACT":
        y = 0.0 if x <= c - w / 2 else 1.0 if x > c + w / 2 else (x - c) / w + 0.5
    elif x <= c - 0.5 - (w - 1) / 2:
        y = 0.0
    elif x > c - 0.5 + (w - 1) / 2:
        y = 1.0
    else:
        y = (x - (c - 0.5)) / (w - 1) + 0.5
    inverse = film["shape"] == "INVERSE" if film["shape"] else film["photometric"] == "MONOCHROME1"
    return 1 - y if inverse else y


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(film=films())
def test_reading_follows_the_formulas_of_the_standard(write_film, film):
    mask = 2 ** film["bits"] - 1
    above = [junk & ~mask & 0xFFFF for junk in film["junk"]]
    words = np.array([(v & mask) | junk for v, junk in zip(film["values"], above, strict=True)], np.uint16)
    tags = {
        "PhotometricInterpretation": film["photometric"],
        "PresentationLUTShape": film["shape"] or "",
        "VOILUTFunction": film["function"],
        "WindowCenter": film["center"],
        "WindowWidth": film["width"],
        "RescaleSlope": film["slope"],
        "RescaleIntercept": film["intercept"],
        "PixelRepresentation": int(film["signed"]),
    }
    pixels = words.view(np.int16) if film["signed"] else words
    if film["padding"] is not None:
        tags["PixelPaddingValue"] = film["padding"]
    picture = read_xray(write_film(pixels.reshape(2, 3), bits=film["bits"], **tags)).pixels
    expected = [displayed(value, film) for value in film["values"]]
    assert picture.ravel().tolist() == pytest.approx(expected, abs=2e-6)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bits=st.integers(9, 16),
    seed=st.integers(0, 2**32 - 1),
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
)
def test_films_without_a_window_are_finite_ordered_and_within_bounds(write_film, bits, seed, photometric):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 2**bits, (7, 9)) // random.integers(1, 2**bits)
    picture = read_xray(write_film(pixels, bits=bits, PhotometricInterpretation=photometric)).pixels
    assert picture.min() >= 0
    assert picture.max() <= 1
    ordered = picture.ravel()[np.argsort(pixels.ravel(), kind="stable")]
    steps = np.diff(ordered)
    assert (steps >= 0).all() if photometric == "MONOCHROME2" else (steps <= 0).all()


def mutated(good: bytes, changes: list[tuple[float, int]], cut: float) -> bytes:
    data = bytearray(good)
    for place, byte in changes:
        data[int(place * len(data))] = byte
    return bytes(data[: int(cut * len(data))])


CHANGES = st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=8)
CUTS = st.one_of(st.just(1.0), st.floats(0, 1))


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, cut=CUTS)
def test_a_changed_file_is_read_or_refused(write_film, changes, cut):
    film = write_film(np.arange(12).reshape(3, 4), WindowCenter=5, WindowWidth=10, PatientOrientation=["L", "F"])
    film.write_bytes(mutated(film.read_bytes(), changes, cut))
    try:
        picture = read_xray(film, admit=("patient", "generated")).pixels
    except InputDataError:
        return
    assert np.isfinite(picture).all()
    assert 0 <= picture.min() <= picture.max() <= 1


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, cut=CUTS, syntax=st.sampled_from(list(STREAMS)))
def test_a_changed_stream_is_read_or_refused(write_film, changes, cut, syntax):
    stream = mutated(STREAMS[syntax], changes, cut) or b"\0\0"
    film = write_film(PICTURE, syntax=syntax, stream=stream, bits=12)
    try:
        picture = read_xray(film, decode="isolated").pixels
    except InputDataError:
        return
    assert picture.shape == PICTURE.shape
    assert 0 <= picture.min() <= picture.max() <= 1
