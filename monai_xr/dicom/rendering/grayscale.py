"""From stored words to what a film shows (PS3.4 section N.2): `GrayscaleRules` makes one table for all of it.

Modality LUT or rescale, then VOI LUT or window, then polarity, then padding to background: every step depends on the
stored value alone, so all are worked out in float64 once per possible value and the film is looked up in the result.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from monai_xr.dicom.image import Array, Pixels
from monai_xr.dicom.pixels.layout import PixelLayout
from monai_xr.dicom.rendering.lookup import histogram
from monai_xr.dicom.rendering.luts import has_table, lookup_table
from monai_xr.dicom.rendering.voi import Values, chosen_voi
from monai_xr.dicom.values import items, number, numbers, text
from monai_xr.errors import InputDataError

# Without a window, deeper films show all but their darkest and brightest thousandth: dead and burnt-out pixels.
DEFAULT_PERCENTILES = (0.1, 99.9)


@dataclass(frozen=True, eq=False)
class GrayscaleRules:
    """What a header says of the meaning of its words.

    Attributes:
        layout: How the words are stored.
        modality: Stored values to modality values.
        voi: Modality values to `[0, 1]`; None: the full range or, for deeper films, `DEFAULT_PERCENTILES`.
        display_ready: Without a window the full range is right: 8-bit files and P-values.
        inverted: White is stored low.
        padding: Lowest and highest stored value of padding, or None.
        names: Of the modality and the polarity step.
    """

    layout: PixelLayout
    modality: Callable[[Values], Values]
    voi: Callable[[Values], Values] | None
    display_ready: bool
    inverted: bool
    padding: tuple[int, int] | None
    names: tuple[str, str]

    def table(self, words: Array) -> tuple[Pixels, tuple[str, ...]]:
        """Make the table that shows the film, whose words the default window needs.

        Returns:
            `(2 ** bits,)` in `[0, 1]`, and the steps for the provenance. The bits are those stored, or all allocated
            ones where padding lies outside the stored bits, such as 65535 in 12 bits.
        """
        low, high = self.padding or (1, 0)
        padded = _padded(self.layout, low, high)
        stored = np.resize(stored_values(self.layout), padded.size)
        values = self.modality(stored)
        if self.voi:
            shown, name = self.voi(values), str(self.voi)
        elif self.display_ready:
            shown, name = _stretched(values, values.min(), values.max()), "no window: full range"
        else:
            counts = np.where(padded, 0, histogram(words, padded.size))
            bounds = _percentiles(values, counts)
            shown = _stretched(values, *bounds)
            name = "no window: percentiles {:g} to {:g}, ".format(*DEFAULT_PERCENTILES) + "{:g} to {:g}".format(*bounds)
        if self.inverted:
            shown = 1 - shown
        steps = [self.names[0], name, self.names[1]]
        if self.padding:
            shown[padded] = 0
            steps.append(f"padding {low} to {high} to background")
        return shown.astype(np.float32), tuple(steps)


def grayscale_rules(ds: Dataset, layout: PixelLayout, window: int | str) -> GrayscaleRules:
    """Take the rules from the header of a MONOCHROME image; `window` counts as in `chosen_voi`.

    Raises:
        InputDataError: A LUT, rescale or window that the standard does not allow, or no such window.
    """
    big_endian = layout.syntax == ExplicitVRBigEndian
    modality, modality_name = _modality(ds, signed=layout.signed, big_endian=big_endian)
    signed_values = bool(modality(stored_values(layout)).min() < 0)
    shape = text(ds, "PresentationLUTShape").upper()
    inverted, polarity_name = _polarity(ds, layout.photometric, shape)
    return GrayscaleRules(
        layout=layout,
        modality=modality,
        voi=chosen_voi(ds, window, signed=signed_values, big_endian=big_endian),
        display_ready=layout.bits_stored <= 8 or shape in ("IDENTITY", "INVERSE"),
        inverted=inverted,
        padding=_padding(ds, layout),
        names=(modality_name, polarity_name),
    )


def stored_values(layout: PixelLayout) -> Values:
    """Give the stored value that each word of the stored bits means."""
    words = np.arange(1 << layout.bits_stored, dtype=np.float64)
    if layout.signed:
        words[words.size // 2 :] -= words.size
    return words


def _modality(ds: Dataset, *, signed: bool, big_endian: bool) -> tuple[Callable[[Values], Values], str]:
    tables = [item for item in items(ds, "ModalityLUTSequence") if has_table(item, "LUT")]
    if tables:
        table = lookup_table(tables[0], "LUT", signed_input=signed, big_endian=big_endian)
        return table, f"Modality LUT of {table.entries.size} entries"
    slope, intercept = number(ds, "RescaleSlope", 1), number(ds, "RescaleIntercept", 0)
    if slope == 0:
        raise InputDataError("RescaleSlope is 0")
    return Rescale(slope, intercept), f"rescale slope {slope:g} intercept {intercept:g}"


@dataclass(frozen=True)
class Rescale:
    """Stored value times slope plus intercept."""

    slope: float
    intercept: float

    def __call__(self, stored: Values) -> Values:
        """Map stored values to modality values."""
        return stored * self.slope + self.intercept


def _polarity(ds: Dataset, photometric: str, shape: str) -> tuple[bool, str]:
    """Tell whether white is stored low: PresentationLUTShape says so, and where it is absent MONOCHROME1."""
    by_photometric = photometric == "MONOCHROME1"
    inverted = shape == "INVERSE" if shape in ("IDENTITY", "INVERSE") else by_photometric
    name = f"polarity {'inverted' if inverted else 'kept'} ({photometric}{', ' + shape if shape else ''})"
    if shape in ("IDENTITY", "INVERSE") and inverted != by_photometric:
        name += ", the two disagree"
    sign = number(ds, "PixelIntensityRelationshipSign", 0)
    if sign and (sign > 0) != inverted:
        name += ", PixelIntensityRelationshipSign says dense is dark"
    return inverted, name


def _padding(ds: Dataset, layout: PixelLayout) -> tuple[int, int] | None:
    """Give the range of padding, in either order (PS3.3 section C.7.5.1.1.2), whatever sign its VR was written with."""
    found = [*numbers(ds, "PixelPaddingValue")[:1], *numbers(ds, "PixelPaddingRangeLimit")[:1]]
    if "PixelPaddingValue" not in ds or not found:
        return None
    span = 1 << layout.bits_allocated
    ends = [int(number) % span for number in found]
    if layout.signed:
        ends = [end - span if end >= span // 2 else end for end in ends]
    return min(ends), max(ends)


def _padded(layout: PixelLayout, low: int, high: int) -> NDArray[np.bool_]:
    """Mark the words that are padding."""

    def marks(bits: int) -> NDArray[np.bool_]:
        values = np.arange(1 << bits)
        if layout.signed:
            values[values.size // 2 :] -= values.size
        return (low <= values) & (values <= high)

    lowest = -(1 << (layout.bits_stored - 1)) if layout.signed else 0
    beyond = low <= high and not lowest <= low <= high < lowest + (1 << layout.bits_stored)
    return marks(layout.bits_allocated if beyond else layout.bits_stored)


def _stretched(values: Values, low: float, high: float) -> Values:
    """Bring `low` to 0 and `high` to 1; a constant film is black."""
    if high <= low:
        return np.zeros_like(values)
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))


def _percentiles(values: Values, counts: NDArray[np.int64]) -> tuple[float, float]:
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(counts[order])
    if cumulated[-1] == 0:
        return 0.0, 0.0
    low, high = (np.searchsorted(cumulated, cumulated[-1] * part / 100) for part in DEFAULT_PERCENTILES)
    return float(values[order[low]]), float(values[order[min(high, order.size - 1)]])
