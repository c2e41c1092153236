"""Loads X-ray files in MONAI as upright (1, H, W) MetaTensors: two transforms and an image reader over `read_image`."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import ImageReader, MetaTensor, get_track_meta
from monai.transforms import MapTransform, Transform
from numpy.typing import NDArray

from monai_xr.data import read_image
from monai_xr.data.images.image_file import Decode
from monai_xr.dicom import XrayImage
from monai_xr.errors import InputDataError

_ADMITTED = ("patient",)


class LoadXray(Transform):
    """Load one DICOM, PNG or JPEG film as (1, H, W) float32 in [0, 1], upright, bright where the body is dense.

    The affine maps (row, column) to millimetres in the plane of the film, rows towards the feet and columns towards the
    patient's left for frontal films; where no tag tells the spacing it counts pixels. `meta` is `film_meta` with
    what MONAI's `SaveImage(squeeze_end_dims=False)` needs; its PNG writer exchanges the axes unless
    `set_options(write_kwargs={"reverse_indexing": False})`. Under `monai.data.set_track_meta(False)` a film is a plain
    tensor without it.

    Args:
        admit: Origins that are let in, as in `read_image`.
        decode: Where DICOM pixels are decoded, as in `read_image`.

    Raises:
        InputDataError: A file that cannot be used, with the reason.

    >>> LoadXray(admit=("phantom",))(film).shape
    torch.Size([1, 32, 32])
    """

    def __init__(self, admit: Sequence[str] = _ADMITTED, decode: Decode = "direct") -> None:
        self.admit = tuple(admit)
        self.decode: Decode = decode

    def __call__(self, path: str | Path) -> torch.Tensor:
        """Load one file."""
        film = read_image(Path(path), admit=self.admit, decode=self.decode)
        pixels = torch.from_numpy(film.pixels)[None]
        if not get_track_meta():
            return pixels
        tracked: torch.Tensor = MetaTensor(pixels, meta={**_placed_meta(film), "filename_or_obj": str(path)})
        return tracked


class LoadXrayd(MapTransform):
    """Dictionary form of `LoadXray`: paths under `keys` become films.

    Args:
        keys: Keys of paths.
        admit: As in `LoadXray`.
        decode: As in `LoadXray`.
        allow_missing_keys: Whether absent keys are passed over.

    >>> LoadXrayd("image", admit=("phantom",))({"image": film})["image"].meta["modality"]
    'DX'
    """

    def __init__(
        self,
        keys: KeysCollection,
        admit: Sequence[str] = _ADMITTED,
        decode: Decode = "direct",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.load = LoadXray(admit, decode)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Load the films of one item."""
        return {**data, **{key: self.load(data[key]) for key in self.key_iterator(data)}}


class XrayReader(ImageReader):
    """Reader for MONAI's own loading: `LoadImage(reader=XrayReader(), ensure_channel_first=True)`.

    Gives the pixels and metadata of `LoadXray`, whatever other readers are installed. Files are opened in `get_data`:
    what fails in `read` makes `LoadImage` try its other readers, which would let a refused film in.

    Args:
        admit: As in `LoadXray`.
        decode: As in `LoadXray`.

    >>> reader = XrayReader(admit=("phantom",))
    >>> reader.get_data(reader.read(film))[0].shape
    (1, 32, 32)
    """

    def __init__(self, admit: Sequence[str] = _ADMITTED, decode: Decode = "direct") -> None:
        self.admit = tuple(admit)
        self.decode: Decode = decode

    def verify_suffix(self, filename: Any) -> bool:
        """Take every file: what it is shows in its content, not in its name."""
        return True

    def read(self, data: Any, **kwargs: Any) -> tuple[Path, ...]:
        """Name one path, or a sequence of paths that become channels."""
        return tuple(Path(path) for path in ([data] if isinstance(data, str | Path) else data))

    def get_data(self, img: Any) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Give (C, H, W) pixels, C = 1 for one film, and the metadata of the first.

        Raises:
            InputDataError: A file that cannot be used, or films of different sizes.
        """
        films = [read_image(path, admit=self.admit, decode=self.decode) for path in img]
        first = films[0].pixels.shape
        for film, path in zip(films, img, strict=True):
            if film.pixels.shape != first:
                sizes = " beside ".join(f"{size[0]} x {size[1]}" for size in (film.pixels.shape, first))
                raise InputDataError(f"{sizes} pixels", path, "channels of one image are films of one size")
        return np.stack([film.pixels for film in films]), _placed_meta(films[0])


def _placed_meta(film: XrayImage) -> dict[str, Any]:
    """Give `film_meta` and where the pixels lie, as MONAI's transforms and writers look for it."""
    affine = film_affine(film)
    return {
        **film_meta(film),
        "affine": affine,
        "original_affine": affine.copy(),
        "spatial_shape": np.asarray(film.pixels.shape),
        "original_channel_dim": 0,
        "space": "RAS",
    }


def film_affine(film: XrayImage) -> NDArray[np.float64]:
    """Affine (4, 4) from (row, column) to millimetres in the plane of the film; pixels where the spacing is unknown.

    >>> film_affine(read_xray(film, admit=["phantom"])).diagonal()
    array([0.5, 0.5, 1. , 1. ])
    """
    rows_mm, columns_mm = film.spacing_mm or (1.0, 1.0)
    return np.diag([rows_mm, columns_mm, 1.0, 1.0])


def film_meta(film: XrayImage) -> dict[str, Any]:
    """Give what is known of a film and identifies nobody, in values of which any mixture of films makes a batch.

    `spacing_mm` of rows and columns is NaN and text is empty where unknown; `provenance` has a line for each step.

    >>> film_meta(read_xray(film, admit=["phantom"]))["view"]
    'PA'
    """
    return {
        "spacing_mm": torch.tensor(film.spacing_mm or (torch.nan, torch.nan), dtype=torch.float64),
        "spacing_source": film.spacing_source or "",
        "bits_stored": film.bits,
        "modality": film.modality,
        "view": film.view,
        "laterality": film.laterality,
        "photometric": film.photometric,
        "origin": film.origin,
        "provenance": "\n".join(film.provenance),
    }
