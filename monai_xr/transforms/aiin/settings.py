"""Checks the settings of AIIN, lays out the tiles of an image, and tells its bins and levels: `checked_settings`."""

import math
import operator
import warnings
from dataclasses import dataclass, replace
from typing import NamedTuple

from monai_xr.errors import ConfigurationError

MODES = ("opencv", "exact")
MAX_BINS_EXACT = 4096  # tables of all 65,536 levels no longer fit a GPU's second-level cache; empty bins gain nothing
MIN_BITS, MAX_BITS = 8, 16
CHOOSE_LARGER_TILES = "use mode='exact', fewer tiles or a larger image"


class AIINWarning(UserWarning):
    """The picture is defined, but it is probably not the one that was meant."""


class Tiles(NamedTuple):
    """How many tiles lie along depth, height and width, and the pixels of one tile; a plane has one of depth 1."""

    layers: int
    rows: int
    columns: int
    depth: int
    height: int
    width: int

    @property
    def number(self) -> int:
        """How many tiles there are."""
        return self.layers * self.rows * self.columns

    @property
    def pixels(self) -> int:
        """Pixels of one tile, with the mirrored ones."""
        return self.depth * self.height * self.width


class Rule(NamedTuple):
    """How the histogram of a tile becomes its table."""

    clip_limit: float
    exact: bool
    bins: int
    top: float


@dataclass(frozen=True)
class Settings:
    """The settings of AIIN; `checked_settings` makes them from what a user wrote.

    Attributes:
        tile_grid_size: Tiles along the last axis, the one before it and, for volumes, the one before that.
        clip_limit: Highest bin in multiples of the mean bin; 0 sets no limit.
        mode: "opencv" or "exact".
        bits: Depth of the image; None where the image itself must tell.
    """

    tile_grid_size: tuple[int, ...]
    clip_limit: float
    mode: str
    bits: int | None

    @property
    def levels(self) -> int:
        """Grey levels of the image."""
        return 1 << self.depth

    @property
    def bins(self) -> int:
        """Bins of a tile's histogram, a power of two: all levels where the pixels are to be OpenCV's."""
        return self.levels if self.mode == "opencv" else min(self.levels, MAX_BINS_EXACT)

    @property
    def shift(self) -> int:
        """Bits that a level loses on its way to its bin."""
        return (self.levels // self.bins).bit_length() - 1

    @property
    def depth(self) -> int:
        """Bits of the image, known."""
        if self.bits is None:
            raise ConfigurationError("depth of the image unknown", "bits", "give bits=8 to 16, the image's real depth")
        return self.bits

    @property
    def rule(self) -> Rule:
        """The rule of the tables; they hold levels, 0 to levels - 1."""
        return Rule(self.clip_limit, self.mode == "exact", self.bins, float(self.levels - 1))

    def with_bits(self, bits: int) -> "Settings":
        """Give the same settings for a known depth."""
        return replace(self, bits=checked_bits(bits))


def checked_settings(tile_grid_size: int | tuple[int, ...], clip_limit: float, mode: str, bits: int | None) -> Settings:
    """Check what a user wrote; one number of tiles holds for both axes of a plane.

    Raises:
        ConfigurationError: A value that cannot work.

    >>> checked_settings(4, 10, "exact", 12).tile_grid_size
    (4, 4)
    """
    if mode not in MODES:
        raise ConfigurationError(f"{mode!r}", "mode", f"allowed: {', '.join(MODES)}")
    try:
        limit = float(clip_limit)
    except (TypeError, ValueError):
        limit = math.nan
    if not 0 <= limit < math.inf:
        raise ConfigurationError(f"{clip_limit!r}", "clip_limit", "give a number of at least 0 (0 sets no limit)")
    return Settings(_checked_grid(tile_grid_size), limit, mode, None if bits is None else checked_bits(bits))


def checked_bits(bits: int) -> int:
    """Check a depth.

    Raises:
        ConfigurationError: Not a whole number from 8 to 16.
    """
    try:
        depth = operator.index(bits)
    except TypeError:
        depth = -1
    if not MIN_BITS <= depth <= MAX_BITS:
        raise ConfigurationError(f"{bits!r}", "bits", f"give the image's depth, {MIN_BITS} to {MAX_BITS}")
    return depth


def _checked_grid(tile_grid_size: int | tuple[int, ...]) -> tuple[int, ...]:
    grid: tuple[int, ...]
    try:
        grid = (operator.index(tile_grid_size),) * 2  # type: ignore[arg-type]
    except TypeError:
        try:
            grid = tuple(operator.index(tiles) for tiles in tile_grid_size)  # type: ignore[union-attr]
        except TypeError:
            grid = ()
    if len(grid) not in (2, 3) or min(grid) < 1:
        way_out = "give the number of tiles along width and height (and depth), whole numbers of at least 1"
        raise ConfigurationError(f"{tile_grid_size!r}", "tile_grid_size", way_out)
    return grid


def lay_tiles(size: tuple[int, ...], settings: Settings) -> Tiles:
    """Divide an image of `size`, (H, W) or (D, H, W), as OpenCV does.

    Where an axis does not divide, every axis grows to its next multiple, one that divides by a whole number of tiles.

    >>> lay_tiles((10, 16), checked_settings((4, 4), 10.0, "opencv", 8))[-2:]
    (3, 5)
    """
    grid = settings.tile_grid_size[::-1]
    if any(length % tiles for length, tiles in zip(size, grid, strict=True)):
        tile = tuple(length // tiles + 1 for length, tiles in zip(size, grid, strict=True))
    else:
        tile = tuple(length // tiles for length, tiles in zip(size, grid, strict=True))
    padding = (1,) * (3 - len(grid))
    return Tiles(*padding, *grid, *padding, *tile)


def warn_of_degenerate_tiles(size: tuple[int, ...], settings: Settings, *, stacklevel: int = 3) -> None:
    """Warn of more tiles than pixels along an axis, and of a clip limit that has no effect.

    OpenCV takes whole counts: below one count a bin its limit is one count whatever was asked.
    """
    grid = settings.tile_grid_size
    if any(tiles > length for tiles, length in zip(grid, size[::-1], strict=True)):
        message = f"tile_grid_size={grid} on an image of {'x'.join(map(str, size[::-1]))} pixels: tiles without a pixel"
        warnings.warn(f"{message}; {CHOOSE_LARGER_TILES}", AIINWarning, stacklevel=stacklevel)
    pixels = lay_tiles(size, settings).pixels
    if settings.mode == "opencv" and 0 < settings.clip_limit * pixels < settings.bins:
        counts = settings.clip_limit * pixels / settings.bins
        message = (
            f"clip_limit={settings.clip_limit:g} is {counts:.3g} counts a bin ({pixels} pixels a tile, "
            f"{settings.bins} bins) and is floored to 1: every clip_limit below {2 * settings.bins / pixels:g} "
            f"gives the same picture; {CHOOSE_LARGER_TILES}"
        )
        warnings.warn(message, AIINWarning, stacklevel=stacklevel)
