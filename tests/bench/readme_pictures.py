"""Makes the pictures of the README anew, from phantoms; the picture of films, AIIN and generated images needs a run.

It is that of the demo, about six minutes:

    make demo
    python tests/bench/readme_pictures.py configs/experiments/results runs/demo/phantoms runs/demo/training
"""

import io
import sys
import tempfile
import warnings
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from monai.data import ITKReader, PydicomReader
from monai.transforms import LoadImage
from numpy.typing import NDArray
from PIL import Image

from monai_xr.data import find_records, read_image
from monai_xr.data.files.output import write_bytes
from monai_xr.data.images.montage import montage
from monai_xr.data.phantoms import make_phantom
from monai_xr.dicom.writing import PhantomHeader, write_phantom
from monai_xr.runs import RunFolder
from monai_xr.transforms import AIIN, XrayReader
from monai_xr.workflows.aiin_picture import draw_aiin, write_figure

_ACROSS, _SIDE = 3, 128
_AIIN = AIIN((4, 4), 5.0)


def draw_first_picture(path: Path, phantoms: Path, run: Path) -> None:
    """Write three panels of nine images each: phantoms, the same after AIIN, and generated images.

    Args:
        path: The PNG file.
        phantoms: Folder of phantoms; films of patients are refused.
        run: Output folder of a training on them, with images that were sampled.
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
    """Give nine images of a folder at even distances, at one size; images of another origin are refused."""
    found = [record.image for record in find_records(folder, classes=classes)]
    files = [found[i * len(found) // _ACROSS**2] for i in range(_ACROSS**2)]
    read = (read_image(file, admit=(origin,)).pixels for file in files)
    return [cv2.resize(each, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for each in read]


def draw_polarity_picture(path: Path) -> None:
    """Write one MONOCHROME1 film with a window and show how each reader gives it to a network, as (rows, columns)."""
    phantom = make_phantom(3, "CONSOLIDATION", size=512)
    header = PhantomHeader(
        patient_id="SYNTH-P000001",
        sex=phantom.sex,
        age_years=phantom.age_years,
        study_key="polarity",
        key="1",
        spacing_mm=phantom.spacing_mm,
        dx=False,
        monochrome1=True,
    )
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        film = Path(folder) / "film.dcm"
        write_phantom(film, phantom.pixels, header)
        readers = {
            "LoadImage, pydicom reader": PydicomReader(),
            "LoadImage, ITK reader": ITKReader(),
            "LoadImage, monai_xr XrayReader": XrayReader(admit=("phantom",)),
        }
        panels = {
            name: np.asarray(LoadImage(reader=reader, ensure_channel_first=True)(film)).squeeze()
            for name, reader in readers.items()
        }
    _draw(path, panels)


def _draw(path: Path, panels: dict[str, NDArray[np.float32]]) -> None:
    figure = Figure(figsize=(9.6, 3.6), layout="constrained")
    for axes, (name, image) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axes.imshow(image, cmap="gray")
        axes.set_title(name, fontsize=9)
        axes.set_xlabel(f"{image.shape[0]} x {image.shape[1]}, {image.min():.0f} to {image.max():.0f}", fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    write_figure(figure, path)


if __name__ == "__main__":
    folder, *trained = map(Path, sys.argv[1:])
    if trained:
        draw_first_picture(folder / "first.png", *trained)
    draw_polarity_picture(folder / "polarity.png")
    phantom = make_phantom(3, "CONSOLIDATION", size=256)
    write_figure(draw_aiin(phantom.pixels, (2.0, 10.0, 30.0), (4, 8)), folder / "aiin.png")
