"""One phantom film in, a picture out of what MONAI's plain readers and ours make of it."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from monai.data import ITKReader, PydicomReader
from monai.transforms import LoadImage
from numpy.typing import NDArray

from monai_xr.data.phantoms import make_phantom
from monai_xr.dicom.writing import PhantomHeader, write_phantom
from monai_xr.transforms import XrayReader
from monai_xr.workflows.figures.aiin_picture import write_figure


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
