"""Films to build small trees of known data sets with."""

from collections.abc import Callable
from pathlib import Path

import pytest

from monai_xr.data.images.png import write_png
from monai_xr.data.phantoms import make_phantom
from monai_xr.dicom.writing import PhantomHeader, write_phantom


@pytest.fixture(scope="session")
def film() -> Callable[[Path], None]:
    """Write a phantom, as DICOM where the name says so, else as PNG."""
    pixels = make_phantom(0, "NORMAL", size=64).pixels

    def write(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".dcm", ".dicom"):
            write_phantom(path, pixels, PhantomHeader("SYNTH-1", "F", 50, path.stem, "1", 0.5))
        else:
            write_png(path, pixels, {"Synthetic": "phantom"})

    return write
