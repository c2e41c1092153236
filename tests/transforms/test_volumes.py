import itk
import nibabel
import numpy as np
import pytest
import torch

from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.transforms import LoadVolume

VOXELS = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)


@pytest.fixture(params=["volume.nii", "volume.nii.gz"])
def nifti(request, tmp_path):
    path = tmp_path / request.param
    image = nibabel.Nifti1Image(VOXELS, np.diag([1.0, 2.0, 3.0, 1.0]))
    nibabel.save(image, path)
    return path


@pytest.fixture(params=["volume.mha", "volume.nrrd"])
def itk_file(request, tmp_path):
    image = itk.image_from_array(np.ascontiguousarray(VOXELS.transpose(2, 1, 0)))  # ITK arrays are (z, y, x)
    image.SetSpacing([1.0, 2.0, 3.0])
    itk.imwrite(image, str(tmp_path / request.param))
    return tmp_path / request.param


def test_nifti_in_ras_is_taken_as_it_is(nifti):
    volume = LoadVolume()(nifti)
    np.testing.assert_array_equal(volume[0].numpy(), VOXELS)
    np.testing.assert_array_equal(volume.affine.numpy(), np.diag([1.0, 2.0, 3.0, 1.0]))
    assert volume.dtype == torch.float32


def test_itk_files_are_turned_from_lps_to_ras(itk_file):
    volume = LoadVolume()(itk_file)
    np.testing.assert_array_equal(volume[0].numpy(), VOXELS[::-1, ::-1, :])
    np.testing.assert_allclose(volume.affine[:3, :3].numpy(), np.diag([1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    ("plane", "index", "expected", "spacing"),
    [
        ("sagittal", 1, VOXELS[1], (2, 3)),
        ("coronal", 4, VOXELS[:, 4], (1, 3)),
        ("axial", None, VOXELS[:, :, 3], (1, 2)),
    ],
)
def test_slices_keep_their_spacing(nifti, plane, index, expected, spacing):
    image = LoadVolume(plane, index)(nifti)
    np.testing.assert_array_equal(image[0].numpy(), expected)
    np.testing.assert_allclose(image.affine.numpy(), np.diag([*spacing, 1, 1]))


def test_slice_outside_the_volume_is_refused(nifti):
    with pytest.raises(ConfigurationError, match="0 to 5"):
        LoadVolume("axial", 6)(nifti)


@pytest.mark.parametrize("content", [b"", b"<html>", b"\0" * 128 + b"DICM", b"NRRD0004\nbroken", b"\x1f\x8bnothing"])
def test_other_and_damaged_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "thing.nii"
    path.write_bytes(content)
    with pytest.raises(InputDataError, match=r"thing\.nii"):
        LoadVolume()(path)


def test_voxels_that_are_no_numbers_are_refused(tmp_path):
    broken = VOXELS.astype(np.float32)
    broken[0, 0, 0] = np.nan
    nibabel.save(nibabel.Nifti1Image(broken, np.eye(4)), tmp_path / "nan.nii")
    with pytest.raises(InputDataError, match="NaN or infinity"):
        LoadVolume()(tmp_path / "nan.nii")


def test_unknown_plane_is_refused():
    with pytest.raises(ConfigurationError, match="sagittal, coronal, axial"):
        LoadVolume("transverse")
