"""Normalises files by AIIN, and draws what each threshold and window does (2309.12245): `normalise_files`."""

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from monai_xr.data.files.data_folder import check_there, data_folder
from monai_xr.data.files.file_kinds import files_under
from monai_xr.data.images.image_file import read_image
from monai_xr.data.images.png import write_png
from monai_xr.data.images.png_exports import exports_under
from monai_xr.disk import host_trouble, make_folder, whole_file
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.transforms.aiin.functions import aiin
from monai_xr.transforms.aiin.settings import AIINWarning, Settings

CLIP_LIMITS = (2.0, 4.0, 10.0, 20.0)
TILES = (4, 8, 16)
PICTURE_NAME = "aiin.png"
_ENDINGS = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")
CELL_INCHES = 2.2
HISTOGRAM_BINS = 64


class Normaliser(Protocol):
    """The transform `AIIN`, or what does the same to arrays."""

    @property
    def settings(self) -> Settings:
        """How."""

    def __call__(self, image: NDArray[Any]) -> NDArray[Any]:
        """Equalise an image."""


@dataclass(frozen=True)
class Normalised:
    """What `normalise_files` did.

    Attributes:
        written: The normalised images.
        skipped: Name and reason of each file that was no usable image.
        picture: The picture of the first image.
    """

    written: list[Path] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    picture: Path | None = None


def normalise_files(
    source: Path,
    output: Path,
    normalise: Normaliser,
    *,
    admit: tuple[str, ...] = ("patient",),
    clip_limits: Sequence[float] = CLIP_LIMITS,
    tiles: Sequence[int] = TILES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Normalised:
    """Write the normalised image of a file, or of every file of a folder, and the picture of the first, `draw_aiin`.

    Images of 8 bits are written as 8-bit PNG, deeper ones as 16-bit PNG over the full scale. Phantoms and generated
    images keep their mark. They lie in the folders of the source, and are called as their files.

    Args:
        source: A file, or a folder of any depth.
        output: Folder for the images, and for `aiin.png`.
        normalise: The transform whose images are written; the picture uses its mode and depth.
        admit: Origins that are let in, as in `read_image`.
        clip_limits: Of the picture.
        tiles: Of the picture.
        progress: Called with (done, total) before each image and at the end.

    Raises:
        ConfigurationError: No such source, or the output folder is the source.
        InputDataError: No file is a usable image; the first reason is told.
    """
    check_there(source)
    if source.resolve() == output.resolve():
        raise ConfigurationError("output folder is the source folder", output, "give another output folder")
    done, mode, bits = Normalised(), normalise.settings.mode, normalise.settings.depth
    exports, pairs = exports_under(source) if source.is_dir() else (), _pairs(source, output)
    for place, (path, target) in enumerate(pairs):
        progress(place, len(pairs))
        try:
            film = read_image(path, admit=admit, exports=exports)
            result = normalise(film.pixels)
            if not done.written:
                figure = draw_aiin(film.pixels, clip_limits, tiles, mode=mode, bits=bits)
                picture = write_figure(figure, output / PICTURE_NAME)
            done.written.append(_write_image(result, target, bits, film.origin))
        except InputDataError as error:
            done.skipped.append((path.name, error.what))
    progress(len(pairs), len(pairs))
    if not done.written:
        raise _nothing_usable(source, done.skipped)
    return Normalised(done.written, done.skipped, picture)


def _nothing_usable(source: Path, skipped: Sequence[tuple[str, str]]) -> InputDataError:
    name, reason = skipped[0] if skipped else (source.name, "no file")
    return InputDataError(f"no usable image; {name}: {reason}", source, "give an X-ray file or a folder of them")


def _pairs(source: Path, output: Path) -> list[tuple[Path, Path]]:
    """Give each file and its target; where two would meet, as of a.dcm and a.png, the ending stays in their names."""
    root, kept = source.parent if source.is_file() else data_folder(source), output.resolve()
    found = [source] if source.is_file() else [root / file for file, _ in files_under(root)]
    files = [path for path in found if kept not in path.resolve().parents]
    stems = [path.stem if path.suffix.lower() in _ENDINGS else path.name for path in files]
    targets = [output / path.relative_to(root).parent / f"{stem}.png" for path, stem in zip(files, stems, strict=True)]
    met = Counter([output / PICTURE_NAME, *targets])
    return [
        (path, target if met[target] == 1 else target.with_name(f"{path.name}.png"))
        for path, target in zip(files, targets, strict=True)
    ]


def _write_image(image: NDArray[Any], path: Path, bits: int, origin: str) -> Path:
    make_folder(path.parent)
    mark = {} if origin == "patient" else {"Synthetic": origin}
    write_png(path, image.reshape(image.shape[-2:]), mark, bits=8 if bits == 8 else 16)
    return path


def write_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, for its owner alone."""
    make_folder(path.parent)
    with host_trouble(path, what="cannot write ({})"), whole_file(path) as file:
        figure.savefig(file, format="png")
    return path


def draw_aiin(
    image: NDArray[Any],
    clip_limits: Sequence[float] = CLIP_LIMITS,
    tiles: Sequence[int] = TILES,
    *,
    mode: str = "opencv",
    bits: int = 8,
) -> Figure:
    """Draw an image before and after, with histograms: a row for each window, a column for each threshold.

    Args:
        image: (H, W) or (1, H, W), float in [0, 1].
        clip_limits: Thresholds.
        tiles: Windows, tiles along each axis.
        mode: "opencv" or "exact".
        bits: Depth of the image.

    Raises:
        ConfigurationError: No thresholds, or no windows.
        InputDataError: An image that AIIN is not defined for.
    """
    if not clip_limits or not tiles:
        raise ConfigurationError("no thresholds or no windows", "picture", "give at least one of each")
    height, width = image.shape[-2:]
    pixels = image.reshape(height, width)
    after = {(t, c): _normalised(pixels, t, c, mode, bits) for t in tiles for c in clip_limits}
    pictures = [pixels, *(result for result, _ in after.values())]
    ceiling = max(float(_heights(picture)[1:-1].max()) for picture in pictures)  # without the black and white of frames
    figure, (top, bottom), axes = _laid_out(len(tiles), len(clip_limits), height / width, f"AIIN, mode {mode}")
    _draw(top, bottom, pixels, f"before: {width} x {height} px, {bits} bits", ceiling)
    for row, t in enumerate(tiles):
        for column, c in enumerate(clip_limits):
            result, floored = after[t, c]
            title = f"{t} x {t} tiles, clip limit {c:g}" + ("\n(limit without effect)" if floored else "")
            _draw(axes[2 * row, column], axes[2 * row + 1, column], result, title, ceiling)
    return figure


def _laid_out(rows: int, columns: int, shape: float, title: str) -> tuple[Figure, Any, Any]:
    """Give a figure, the axes of the image before, and those after; each of an image and of its histogram below."""
    size = (CELL_INCHES * (columns + 2) + 0.3, (CELL_INCHES * (shape + 0.45)) * max(rows, 2) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    parts: Any = figure.subfigures(1, 2, width_ratios=[2, columns])
    left, right = parts
    left.suptitle(title, fontsize=11)
    right.suptitle("after: clip limit across, tiles down", fontsize=11)
    before = left.subplots(2, 1, height_ratios=[3 * shape, 1])
    return figure, before, right.subplots(2 * rows, columns, squeeze=False, height_ratios=[4 * shape, 1] * rows)


def _normalised(pixels: NDArray[Any], tiles: int, clip_limit: float, mode: str, bits: int) -> tuple[NDArray[Any], bool]:
    """Give the result, and whether AIIN warned that the limit or the tiles are degenerate."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", AIINWarning)
        result = aiin(pixels, tiles, clip_limit, mode, bits=bits)
    return result, any(issubclass(one.category, AIINWarning) for one in told)


def _draw(image_axes: Axes, histogram_axes: Axes, pixels: NDArray[Any], title: str, ceiling: float) -> None:
    image_axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
    image_axes.set_title(title, fontsize=8)
    image_axes.set_axis_off()
    image_axes.set_anchor("S")
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    histogram_axes.stairs(_heights(pixels), edges, fill=True, color="0.3")
    histogram_axes.set(xlim=(0, 1), ylim=(0, ceiling), yticks=[], xticks=[0, 1])
    histogram_axes.tick_params(labelsize=6, length=2)


def _heights(pixels: NDArray[Any]) -> NDArray[np.float64]:
    counts, _ = np.histogram(pixels, HISTOGRAM_BINS, (0, 1))
    return counts / pixels.size
