r"""Phantom films and a generator trained on them in; one picture out: film, AIIN, synthetic.

The picture of the README was made so, in about twelve minutes of a shared processor:

    monai-xr phantoms films --patients 300 --size 64
    monai-xr train chest_xray_dcgan --dataset_dir films --classes NORMAL --accept_phantoms true --split none \
        --output_dir run --width 32 --batch_size 16 --max_epochs 200
    monai-xr sample run
    monai-xr pictures configs/experiments/results --films films --run run
"""

import io
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from monai_xr.data import find_records, read_image
from monai_xr.data.files.output import write_bytes
from monai_xr.data.images.montage import montage
from monai_xr.errors import InputDataError
from monai_xr.runs import RunFolder
from monai_xr.transforms import AIIN
from monai_xr.workflows.figures.aiin_picture import write_figure

_ACROSS, _SIDE = 3, 128
_AIIN = AIIN((4, 4), 10.0)


def draw_first_picture(path: Path, phantoms: Path, run: Path) -> None:
    """Write three panels of nine images each: phantoms, the same after AIIN, and generated images.

    Args:
        path: The PNG file.
        phantoms: Folder of phantoms; films of patients are refused.
        run: Output folder of a training on them, with images that were sampled.

    Raises:
        InputDataError: Other images, or fewer than nine.
    """
    trained = RunFolder(run)
    films = _images(phantoms, "phantom", trained.setting("classes"))
    panels = {"phantom films": films, "after AIIN": [_AIIN(each) for each in films]}
    panels["synthetic, of a generator trained on phantoms"] = _images(trained.synthetic, "generated", None)
    figure = Figure(figsize=(9.6, 3.5), layout="constrained")
    for axes, (title, images) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        tiles = np.stack([np.rint(255 * np.clip(each, 0, 1)).astype(np.uint8) for each in images])
        axes.imshow(montage(tiles, _ACROSS, border=(0, 2)), cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    write_figure(figure, path)
    grey = io.BytesIO()
    Image.open(path).convert("L").quantize(64).save(grey, "PNG", optimize=True)
    write_bytes(path, grey.getvalue())


def _images(folder: Path, origin: str, classes: str | None) -> list[NDArray[np.float32]]:
    """Give the first nine images of a folder, at one size."""
    files = [record.image for record in find_records(folder, classes=classes)][: _ACROSS**2]
    if len(files) < _ACROSS**2:
        raise InputDataError(f"{len(files)} images, {_ACROSS**2} are needed", folder, "make more")
    read = (read_image(file, admit=(origin,)).pixels for file in files)
    return [cv2.resize(each, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for each in read]
