"""One frame of a file as stored words, by the best decoder for its transfer syntax: `decode_frame`.

JPEG (baseline, extended, lossless) by libjpeg-turbo in imagecodecs, JPEG-LS by CharLS in pyjpegls, JPEG 2000 and HTJ2K
by OpenJPEG in pylibjpeg-openjpeg, RLE by PackBits in imagecodecs. The OpenJPH of imagecodecs is twice as fast for
HTJ2K but gives a partial picture without an error, so it is not used.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pydicom.uid as uids
from pydicom.dataset import Dataset

from monai_xr.dicom.header import HeaderFile
from monai_xr.dicom.image import Array
from monai_xr.dicom.pixels.codestream import (
    CodestreamHeader,
    jpeg2000_header,
    jpeg_header,
    jpeg_with_more_data,
    run_codec,
)
from monai_xr.dicom.pixels.fragments import encapsulated_frame, file_samples, pixel_element
from monai_xr.dicom.pixels.layout import PixelLayout
from monai_xr.dicom.pixels.run_length import decode_run_length
from monai_xr.errors import InputDataError

NATIVE = (uids.ImplicitVRLittleEndian, uids.ExplicitVRLittleEndian, uids.ExplicitVRBigEndian)
JPEG = (uids.JPEGBaseline8Bit, uids.JPEGExtended12Bit, uids.JPEGLossless, uids.JPEGLosslessSV1)
JPEG_LS = (uids.JPEGLSLossless, uids.JPEGLSNearLossless)
JPEG_2000 = (uids.JPEG2000Lossless, uids.JPEG2000, uids.HTJ2KLossless, uids.HTJ2KLosslessRPCL, uids.HTJ2K)
_MOST_FILLING = 8  # bytes
LOSSY = (uids.JPEGBaseline8Bit, uids.JPEGExtended12Bit, uids.JPEGLSNearLossless, uids.JPEG2000, uids.HTJ2K)


@dataclass(frozen=True)
class Frame:
    """Decoded samples.

    Attributes:
        words: Unsigned `(H, W)`, or `(H, W, 3)` for colour. Signed samples are in two's complement of the stored
            bits; bits above the stored ones may hold anything.
        ycbcr: The three channels are YCbCr.
        decoder: What decoded it, "" for uncompressed data.
        notes: What had to be overlooked, for the provenance.
    """

    words: Array
    ycbcr: bool
    decoder: str
    notes: tuple[str, ...] = ()


def decode_frame(file: HeaderFile, ds: Dataset, layout: PixelLayout, frame: int) -> Frame:
    """Decode one frame of a file that stands at its pixels.

    Raises:
        InputDataError: No decoder for the syntax, the data are truncated, damaged, or contradict the header.
    """
    if layout.syntax in NATIVE:
        return _native(file_samples(file, pixel_element(file, ds), layout, frame), layout)
    decode = _decoder(layout)
    stream, notes = encapsulated_frame(file, pixel_element(file, ds), layout, frame)
    decoded = decode(stream, layout)
    return replace(decoded, notes=(*notes, *decoded.notes))


def decode_stream(stream: bytes, layout: PixelLayout) -> Frame:
    """Decode one compressed frame.

    Raises:
        InputDataError: As `decode_frame`.
    """
    return _decoder(layout)(stream, layout)


def _decoder(layout: PixelLayout) -> Callable[[bytes, PixelLayout], Frame]:
    decoders: tuple[tuple[tuple[str, ...], Callable[[bytes, PixelLayout], Frame]], ...] = (
        (JPEG, _jpeg),
        (JPEG_LS, _jpeg_ls),
        (JPEG_2000, _jpeg_2000),
        ((uids.RLELossless,), _rle),
    )
    for syntaxes, decoder in decoders:
        if layout.syntax in syntaxes:
            return decoder
    raise InputDataError("unsupported transfer syntax", way_out="store it again as Explicit VR Little Endian")


def _native(words: Array, layout: PixelLayout) -> Frame:
    ycbcr = layout.photometric.startswith("YBR")
    if layout.photometric == "YBR_FULL_422":
        pairs = words.reshape(layout.rows, layout.columns // 2, 4)  # Y Y Cb Cr
        chroma = np.repeat(pairs[..., 2:], 2, axis=1)
        luma = pairs[..., :2].reshape(layout.rows, layout.columns, 1)
        return Frame(np.concatenate([luma, chroma], axis=2), ycbcr, "")
    return Frame(_shaped(words, layout, planar=layout.planar), ycbcr, "")


def _shaped(words: Array, layout: PixelLayout, *, planar: bool) -> Array:
    if layout.samples == 1:
        return words.reshape(layout.rows, layout.columns)
    if planar:
        return words.reshape(3, layout.rows, layout.columns).transpose(1, 2, 0)
    return words.reshape(layout.rows, layout.columns, 3)


def _jpeg(stream: bytes, layout: PixelLayout) -> Frame:
    import imagecodecs

    header = _checked(jpeg_header(stream), layout)
    stream, notes = _cut(stream, header)
    told = layout.photometric.startswith("YBR") if header.ycbcr is None else header.ycbcr
    ycbcr = layout.samples == 3 and told
    # Components as they are: what libjpeg guesses from component ids may be wrong for DICOM.
    space = None if layout.samples == 1 else ("YCBCR" if ycbcr else "RGB")
    decode = functools.partial(imagecodecs.jpeg8_decode, colorspace=space, outcolorspace=space)
    samples = run_codec(lambda: decode(stream))
    last = samples[-1, -8:]
    # Where the data end early libjpeg goes on with the last value. A film may end so too: more data tell.
    if (last == last[0]).all() and not np.array_equal(samples, run_codec(lambda: decode(jpeg_with_more_data(stream)))):
        raise InputDataError("its JPEG stream is truncated: data are missing before its end marker")
    return Frame(_words(samples, header, layout), ycbcr, "imagecodecs", notes)


def _jpeg_ls(stream: bytes, layout: PixelLayout) -> Frame:
    header = _checked(jpeg_header(stream), layout)
    stream, notes = _cut(stream, header)
    data, about = _charls(stream)
    samples = np.frombuffer(data, np.uint8 if header.precision <= 8 else "<u2")
    words = _words(_sized(samples, layout, planar=about["interleave_mode"] == 0), header, layout)
    return Frame(words, layout.photometric.startswith("YBR"), "pyjpegls", notes)


def _charls(stream: bytes) -> tuple[bytes, dict[str, Any]]:
    """Decode JPEG-LS; some encoders leave zeros before the end marker, which CharLS takes for data too many."""
    import jpeg_ls

    zeros = len(stream) - 2 - len(stream[:-2].rstrip(b"\0"))
    for left_out in range(min(zeros, _MOST_FILLING) + 1):
        cut = stream[: len(stream) - 2 - left_out] + stream[-2:]
        try:
            decoded: tuple[bytes, dict[str, Any]] = run_codec(lambda cut=cut: jpeg_ls.decode_pixel_data(cut))  # type: ignore[misc]
        except InputDataError as error:
            refusal = error
        else:
            return decoded
    raise refusal


def _jpeg_2000(stream: bytes, layout: PixelLayout) -> Frame:
    import openjpeg

    header = _checked(jpeg2000_header(stream), layout)
    stream, notes = _cut(stream, header)
    data = run_codec(lambda: openjpeg.decode_pixel_data(stream, version=2))
    kind = ("i" if header.signed else "u") + ("1" if header.precision <= 8 else "2")
    samples = _sized(np.frombuffer(data, "<" + kind), layout, planar=False)
    # OpenJPEG undoes the colour transform of ICT and RCT.
    ycbcr = layout.photometric in ("YBR_FULL", "YBR_FULL_422")
    return Frame(_words(samples, header, layout), ycbcr, "pylibjpeg-openjpeg", notes)


def _cut(stream: bytes, header: CodestreamHeader) -> tuple[bytes, tuple[str, ...]]:
    """Leave out what follows the end marker, with a note where it is more than the padding of fragments."""
    behind = stream[header.end :]
    # Fragments are padded to an even length, with 00 by the standard, with FF in real files.
    notes = (f"{len(behind)} bytes behind its end left out",) if behind.strip(b"\0\xff") else ()
    return stream[: header.end], notes


def _rle(stream: bytes, layout: PixelLayout) -> Frame:
    planes = decode_run_length(stream, layout)
    words = planes[0] if layout.samples == 1 else planes.transpose(1, 2, 0)
    return Frame(words, layout.photometric.startswith("YBR"), "imagecodecs")


def _checked(header: CodestreamHeader, layout: PixelLayout) -> CodestreamHeader:
    if (header.rows, header.columns, header.samples) != (layout.rows, layout.columns, layout.samples):
        raise InputDataError(
            f"its codestream is {header.rows} x {header.columns} x {header.samples}, "
            f"its header says {layout.rows} x {layout.columns} x {layout.samples}"
        )
    if not 2 <= header.precision <= layout.bits_allocated:
        raise InputDataError(f"its codestream has {header.precision} bits of {layout.bits_allocated} allocated")
    return header


def _sized(samples: Array, layout: PixelLayout, *, planar: bool) -> Array:
    if samples.size != layout.rows * layout.columns * layout.samples:
        raise InputDataError("its decoded pixels are not as many as its header says")
    return _shaped(samples, layout, planar=planar)


def _words(samples: Array, header: CodestreamHeader, layout: PixelLayout) -> Array:
    """Bring decoded samples to unsigned words of the stored bits.

    A codestream may be deeper than BitsStored (JPEG Extended always has 12 bits): lossy overshoot is clipped, a
    lossless value that does not fit is an error.
    """
    if header.precision == layout.bits_stored and header.signed in (False, layout.signed):
        return samples.view(f"u{samples.dtype.itemsize}")
    values = samples.astype(np.int32)
    if layout.signed and not header.signed:
        half = 1 << (header.precision - 1)
        values = (values ^ half) - half
    low, high = (
        (-1 << (layout.bits_stored - 1), 1 << (layout.bits_stored - 1))
        if layout.signed
        else (0, 1 << layout.bits_stored)
    )
    if values.min() < low or values.max() >= high:
        if layout.syntax not in LOSSY:
            raise InputDataError(f"its codestream has values beyond its {layout.bits_stored} stored bits")
        values = np.clip(values, low, high - 1)
    return values.astype(np.uint16) & np.uint16((1 << layout.bits_stored) - 1)
