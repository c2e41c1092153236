"""X-ray file in, upright (1, H, W) MetaTensor out: MONAI transforms and an image reader over `read_image`."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import ImageReader, MetaTensor
from monai.transforms import MapTransform, Transform
from numpy.typing import NDArray

from monai_xr.data.reading import Decode, read_image
from monai_xr.dicom import XrayImage

_ADMITTED = ("patient",)


class LoadXray(Transform):
    """Load one DICOM, PNG or JPEG film as (1, H, W) float32 in [0, 1], upright, bright where the body is dense.

    The affine maps (row, column) to millimetres in the plane of the film, rows towards the feet and columns towards the
    patient's left for frontal films; where no tag tells the spacing it counts pixels and `meta["spacing_mm"]` is None.
    The rest of `XrayImage` but the patient's identifiers is in `meta`.

    Args:
        admit: Origins that are let in, as in `read_image`.
        decode: Where DICOM pixels are decoded, as in `read_image`.

    Raises:
        InputDataError: A file that cannot be used, with the reason.
    """

    def __init__(self, admit: Sequence[str] = _ADMITTED, decode: Decode = "direct") -> None:
        self.admit = tuple(admit)
        self.decode: Decode = decode

    def __call__(self, path: str | Path) -> MetaTensor:
        """Load one file."""
        film = read_image(Path(path), admit=self.admit, decode=self.decode)
        meta = {**film_meta(film), "filename_or_obj": str(path)}
        return MetaTensor(torch.from_numpy(film.pixels)[None], affine=film_affine(film), meta=meta)


class LoadXrayd(MapTransform):
    """Dictionary form of `LoadXray`: paths under `keys` become films.

    Args:
        keys: Keys of paths.
        admit: As in `LoadXray`.
        decode: As in `LoadXray`.
        allow_missing_keys: Whether absent keys are passed over.
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

    Gives the pixels and metadata of `LoadXray`, whatever other readers are installed.

    Args:
        admit: As in `LoadXray`.
        decode: As in `LoadXray`.
    """

    def __init__(self, admit: Sequence[str] = _ADMITTED, decode: Decode = "direct") -> None:
        self.admit = tuple(admit)
        self.decode: Decode = decode

    def verify_suffix(self, filename: Any) -> bool:
        """Take every file: what it is shows in its content, not in its name."""
        return True

    def read(self, data: Any, **kwargs: Any) -> Any:
        """Read one path, or a sequence of paths as channels."""
        paths = [data] if isinstance(data, str | Path) else list(data)
        films = [read_image(Path(path), admit=self.admit, decode=self.decode) for path in paths]
        return films[0] if len(films) == 1 else films

    def get_data(self, img: Any) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Give (C, H, W) pixels, C = 1 for one film, and their metadata."""
        films: list[XrayImage] = [img] if isinstance(img, XrayImage) else list(img)
        affine = film_affine(films[0])
        meta = {
            **film_meta(films[0]),
            "affine": affine,
            "original_affine": affine,
            "spatial_shape": np.asarray(films[0].pixels.shape),
            "original_channel_dim": 0,
            "space": "RAS",
        }
        return np.stack([film.pixels for film in films]), meta


def film_affine(film: XrayImage) -> NDArray[np.float64]:
    """Affine (4, 4) from (row, column) to millimetres in the plane of the film; pixels where the spacing is unknown."""
    rows_mm, columns_mm = film.spacing_mm or (1.0, 1.0)
    return np.diag([rows_mm, columns_mm, 1.0, 1.0])


def film_meta(film: XrayImage) -> dict[str, Any]:
    """What is known of a film and identifies nobody, as plain values."""
    return {
        "spacing_mm": film.spacing_mm,
        "spacing_source": film.spacing_source,
        "bits_stored": film.bits,
        "modality": film.modality,
        "view": film.view,
        "laterality": film.laterality,
        "photometric": film.photometric,
        "origin": film.origin,
        "provenance": list(film.provenance),
    }
