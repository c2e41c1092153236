"""Phantom films and images of a generator trained on phantoms in; one picture out: film, AIIN, synthetic."""

from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from monai_xr.data import find_records, read_image
from monai_xr.data.images.montage import montage
from monai_xr.errors import InputDataError
from monai_xr.transforms import AIIN
from monai_xr.workflows.figures.aiin_picture import write_figure

_ACROSS, _SIDE = 3, 128
_AIIN = AIIN((4, 4), 10.0)


def draw_first_picture(path: Path, phantoms: Path, synthetic: Path) -> None:
    """Write three panels of nine images each: phantoms, the same after AIIN, and generated images.

    Args:
        path: The PNG file.
        phantoms: Folder of phantoms; films of patients are refused.
        synthetic: Folder of images of a generator that was trained on phantoms.

    Raises:
        InputDataError: Other images, or fewer than nine.
    """
    films = _images(phantoms, "phantom")
    panels = {"phantom films": films, "after AIIN": [_AIIN(each) for each in films]}
    panels["synthetic, of a generator trained on phantoms"] = _images(synthetic, "generated")
    figure = Figure(figsize=(9.6, 3.5), layout="constrained")
    for axes, (title, images) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        tiles = np.stack([np.rint(255 * np.clip(each, 0, 1)).astype(np.uint8) for each in images])
        axes.imshow(montage(tiles, _ACROSS, border=(0, 2)), cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    write_figure(figure, path)


def _images(folder: Path, origin: str) -> list[NDArray[np.float32]]:
    """Give the first nine images of a folder, at one size."""
    files = [record.image for record in find_records(folder)][: _ACROSS**2]
    if len(files) < _ACROSS**2:
        raise InputDataError(f"{len(files)} images, {_ACROSS**2} are needed", folder, "make more")
    read = (read_image(file, admit=(origin,)).pixels for file in files)
    return [cv2.resize(each, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for each in read]
