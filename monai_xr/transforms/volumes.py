"""Loads a NIfTI, MHA or NRRD file as a volume, or one slice of it: for studies of other modalities than X-ray.

MONAI's nibabel and ITK readers do the reading; the kind of file is told by its content, and DICOM is refused here.
"""

from pathlib import Path
from typing import Literal

import torch
from monai.data import ITKReader, MetaTensor, NibabelReader
from monai.transforms import EnsureChannelFirst, Orientation, Transform

from monai_xr.errors import ConfigurationError, InputDataError

Plane = Literal["sagittal", "coronal", "axial"]
_AXES: dict[str, int] = {"sagittal": 0, "coronal": 1, "axial": 2}
_NIFTI_MAGIC = (b"n+1\0", b"ni1\0", b"n+2\0")


class LoadVolume(Transform):
    """Load a volume as (1, X, Y, Z), or one plane of it as (1, A, B), float32, axes towards right, anterior, superior.

    Args:
        plane: None for the whole volume, else the plane of the slice.
        index: Slice along the axis across the plane; None takes the middle one.

    Raises:
        ConfigurationError: An unknown plane, or a slice outside the volume.
        InputDataError: A file that is no such volume, is damaged, or holds NaN or infinity.
    """

    def __init__(self, plane: Plane | None = None, index: int | None = None) -> None:
        if plane is not None and plane not in _AXES:
            raise ConfigurationError("unknown plane", str(plane), ", ".join(_AXES))
        self.plane = plane
        self.index = index

    def __call__(self, path: str | Path) -> MetaTensor:
        """Load one file."""
        volume = _read(Path(path))
        if volume.ndim != 4 or volume.shape[0] != 1:
            raise InputDataError(f"not one grey volume but {tuple(volume.shape)}", Path(path), "give one 3-D image")
        if not torch.isfinite(volume.as_tensor()).all():
            raise InputDataError("NaN or infinity among the voxels", Path(path), "repair the file")
        if self.plane is None:
            return volume
        axis = _AXES[self.plane]
        depth = volume.shape[1 + axis]
        index = depth // 2 if self.index is None else self.index
        if not 0 <= index < depth:
            raise ConfigurationError(f"slice {index} is not there", "index", f"0 to {depth - 1}")
        return _slice(volume, axis, index)


def _slice(volume: MetaTensor, axis: int, index: int) -> MetaTensor:
    """Cut one plane out; its affine keeps the spacing of the two axes left."""
    kept = [each for each in range(3) if each != axis]
    spacing = volume.affine[:3, :3].norm(dim=0)[kept]
    affine = torch.diag(torch.cat([spacing, torch.ones(2, dtype=spacing.dtype)]))
    pixels = volume.as_tensor().select(1 + axis, index).contiguous()
    return MetaTensor(pixels, affine=affine, meta={"plane_axis": axis, "plane_index": index})


def _read(path: Path) -> MetaTensor:
    reader = _reader(path)
    try:
        voxels, meta = reader.get_data(reader.read(path))
        image = EnsureChannelFirst()(MetaTensor.ensure_torch_and_prune_meta(voxels, meta))
        upright: MetaTensor = Orientation(axcodes="RAS", labels=None)(image)
    except Exception as error:  # whatever nibabel and ITK raise on a damaged file
        raise InputDataError(f"volume cannot be read ({type(error).__name__})", path, "check the file") from error
    return upright.to(torch.float32)


def _reader(path: Path) -> NibabelReader | ITKReader:
    """Choose by content: gzip or a NIfTI header is nibabel's, the text heads of MetaImage and NRRD are ITK's."""
    try:
        with path.open("rb") as file:
            head = file.read(348)
    except OSError as error:
        raise InputDataError(f"cannot be read ({error.strerror})", path, "check that it is there") from error
    if head[:2] == b"\x1f\x8b" or head[344:348] in _NIFTI_MAGIC or head[4:8] in _NIFTI_MAGIC:
        return NibabelReader()
    if head.startswith((b"NRRD", b"ObjectType", b"NDims")):
        return ITKReader()
    raise InputDataError("not a NIfTI, MHA or NRRD volume", path, "films are read by LoadXray")
