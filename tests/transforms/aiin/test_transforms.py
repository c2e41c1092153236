"""AIIN as transforms: kinds in and out, metadata, volumes, draws, refusals and warnings."""

import pickle
import tracemalloc

import cv2
import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor, decollate_batch, list_data_collate
from monai.transforms import Compose, EnsureChannelFirstd, Flipd, LoadImaged, ScaleIntensityd, Spacingd

from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.transforms import AIINd, RandAIIN, RandAIINd
from monai_xr.transforms.aiin.kernels import compiled
from monai_xr.transforms.aiin.transforms import AIIN, aiin, aiin_batch, aiin_maps

optional_reader = pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader:UserWarning")  # MONAI's, for a GPU decoder


@pytest.fixture
def levels() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (37, 50), np.uint8)


def opencv(image, clip_limit=10.0, grid=(4, 4)):
    return cv2.createCLAHE(clip_limit, grid).apply(np.ascontiguousarray(image))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, ">u2", np.int32, np.int64])
def test_whole_levels_keep_their_type_in_opencv_mode(levels, dtype):
    result = aiin(levels.astype(dtype), (5, 3), 2.5)
    assert result.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(result, opencv(levels, 2.5, (5, 3)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_the_same_levels_over_255(levels, dtype):
    result = aiin((levels[None] / 255).astype(dtype))
    assert result.dtype == np.float32
    assert result.shape == (1, 37, 50)
    np.testing.assert_array_equal(result[0], opencv(levels).astype(np.float32) / np.float32(255))


def test_exact_mode_of_whole_levels_gives_float_levels(levels):
    result = aiin(levels, mode="exact")
    assert result.dtype == np.float32
    np.testing.assert_allclose(result / 255, aiin(levels / 255, mode="exact"), rtol=0, atol=1e-6)


def test_views_and_read_only_arrays_are_taken_and_left_alone(levels):
    turned = np.ascontiguousarray(levels.T).T[::-1, ::2]
    before = turned.copy()
    np.testing.assert_array_equal(aiin(turned), opencv(turned))
    turned.setflags(write=False)
    np.testing.assert_array_equal(aiin(turned), opencv(before))
    scaled = (before / 255).astype(np.float32)
    kept = scaled.copy()
    aiin(scaled)
    np.testing.assert_array_equal(scaled, kept)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_kind_in_is_kind_out(levels, dtype):
    scaled = torch.from_numpy(levels)[None].to(dtype) / 255
    assert type(AIIN()(levels)) is np.ndarray
    assert type(AIIN()(scaled)) is torch.Tensor
    result = AIIN()(MetaTensor(scaled, meta={"case": "a"}))
    assert type(result) is MetaTensor
    assert result.dtype == torch.float32
    assert result.meta["case"] == "a"


def test_gradients_and_the_input_are_left_alone(levels):
    scaled = (torch.from_numpy(levels)[None] / 255).requires_grad_()
    assert not AIIN()(scaled).requires_grad


def test_lazy_compose_applies_what_is_pending_then_records_and_inverts(levels):
    scaled = MetaTensor(torch.from_numpy(levels)[None] / 255)
    chain = Compose([Flipd("image", 1), AIINd("image", (2, 2), 3.0)], lazy=True)
    result = chain({"image": scaled})["image"]
    assert result.applied_operations[-1]["class"] == "AIIN"
    assert result.applied_operations[-1]["extra_info"] == {
        "tile_grid_size": (2, 2),
        "clip_limit": 3.0,
        "mode": "opencv",
        "bits": 8,
        "masked": False,
        "reference": False,
    }
    np.testing.assert_array_equal(np.rint(np.asarray(result[0]) * 255), opencv(levels[:, ::-1], 3.0, (2, 2)))
    back = Compose(chain.transforms).inverse({"image": result})["image"]
    np.testing.assert_array_equal(np.asarray(back[0])[:, ::-1], np.asarray(result[0]))


def test_record_survives_a_batch(levels):
    items = [{"image": MetaTensor(torch.from_numpy(levels)[None] / 255)} for _ in range(2)]
    batch = list_data_collate([AIINd("image")(item) for item in items])
    assert [item["image"].applied_operations[-1]["class"] for item in decollate_batch(batch)] == ["AIIN", "AIIN"]


def test_functions_refuse_pending_operations(levels):
    pending = Flipd("image", 1, lazy=True)({"image": MetaTensor(torch.from_numpy(levels)[None] / 255)})["image"]
    with pytest.raises(InputDataError, match="pending"):
        aiin(pending)


def test_transforms_cross_a_process_border(levels):
    for transform in (AIIN((3, 2), 4.0, "exact"), RandAIIN(1.0)):
        again = pickle.loads(pickle.dumps(transform))  # noqa: S301
        assert again(levels).shape == levels.shape


def test_dictionary_takes_masks_and_reference_images(levels):
    mask = levels > 100
    masked = AIINd("image", mask_key="mask")({"image": levels, "mask": mask})["image"]
    np.testing.assert_array_equal(masked, aiin(levels, mask=mask))
    patch = AIINd("image", reference_key="whole", origin_key="corner")
    data = {"image": levels[4:20, 9:30], "whole": levels, "corner": (4, 9)}
    np.testing.assert_array_equal(patch(data)["image"], aiin(levels)[4:20, 9:30])
    data["whole"] = aiin_maps(levels)
    np.testing.assert_array_equal(patch(data)["image"], aiin(levels)[4:20, 9:30])


def test_depth_comes_from_the_image_when_bits_is_none():
    image = np.random.default_rng(0).integers(0, 1024, (1, 32, 32)).astype(np.uint16)
    tensor = MetaTensor(torch.from_numpy(image.astype(np.int32)), meta={"bits_stored": 10})
    transform = AIIN((2, 2), 5.0, "exact", bits=None)
    np.testing.assert_array_equal(transform(tensor).numpy(), aiin(image, (2, 2), 5.0, "exact", bits=10))
    np.testing.assert_array_equal(transform(image.astype(np.uint8)), aiin(image.astype(np.uint8), (2, 2), 5.0, "exact"))
    with pytest.raises(ConfigurationError, match="depth of the image unknown"):
        transform(image)


@optional_reader
def test_nifti_volume_in_slices_and_in_blocks(tmp_path):
    volume = np.random.default_rng(1).normal(0, 300, (24, 20, 6)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([2.0, 2, 5, 1])), tmp_path / "ct.nii.gz")
    first = [LoadImaged("image"), EnsureChannelFirstd("image"), ScaleIntensityd("image"), Spacingd("image", (2, 2, 5))]
    read = Compose(first)({"image": tmp_path / "ct.nii.gz"})["image"]
    for settings in ({"tile_grid_size": (2, 2), "slice_axis": 2}, {"tile_grid_size": (2, 2, 3)}):
        transform = AIINd("image", clip_limit=4.0, mode="exact", bits=12, **settings)
        result = Compose([*first, transform])({"image": tmp_path / "ct.nii.gz"})["image"]
        assert result.shape == (1, 24, 20, 6)
        torch.testing.assert_close(result.affine, read.affine)
        assert 0 <= result.min() < result.max() <= 1
        assert result.std() > read.std()


@optional_reader
def test_mha_volume_goes_through_itk(tmp_path):
    itk = pytest.importorskip("itk")
    volume = np.random.default_rng(1).integers(0, 4096, (5, 16, 18)).astype(np.uint16)
    itk.imwrite(itk.image_from_array(volume), str(tmp_path / "mr.mha"))
    chain = Compose([LoadImaged("image", reader="ITKReader", dtype=np.int32), EnsureChannelFirstd("image")])
    read = chain({"image": tmp_path / "mr.mha"})["image"]
    result = AIIN((2, 2), 4.0, "exact", bits=12, slice_axis=-1)(read)
    assert result.shape == (1, 18, 16, 5)
    expected = aiin(np.ascontiguousarray(volume[3].T), (2, 2), 4.0, "exact", bits=12)
    np.testing.assert_array_equal(result[0, ..., 3], expected)


def test_random_draws_stay_in_their_ranges_and_repeat_with_the_seed(levels):
    scaled = MetaTensor(torch.from_numpy(levels)[None] / 255)
    transform = RandAIINd(["image", "twin"], 1.0, (2, 5), (2.0, 8.0)).set_random_state(3)
    seen = set()
    for _ in range(40):
        result = transform({"image": scaled, "twin": scaled})
        drawn = result["image"].applied_operations[-1]["extra_info"]
        (tiles, same), limit = drawn["tile_grid_size"], drawn["clip_limit"]
        assert tiles == same
        assert 2 <= limit <= 8
        seen.add(tiles)
        torch.testing.assert_close(result["image"], result["twin"], rtol=0, atol=0)
        torch.testing.assert_close(result["image"].as_tensor(), aiin(scaled.as_tensor(), tiles, limit, "exact"))
    assert seen == {2, 3, 4, 5}
    again = RandAIINd(["image", "twin"], 1.0, (2, 5), (2.0, 8.0)).set_random_state(3)
    for _ in range(40):
        last = again({"image": scaled, "twin": scaled})
    torch.testing.assert_close(last["image"], result["image"], rtol=0, atol=0)


def test_random_transform_leaves_the_image_with_the_rest_of_its_probability(levels):
    transform = RandAIIN(0.25).set_random_state(0)
    left = sum(np.array_equal(transform(levels), levels) for _ in range(200))
    assert 120 < left < 180


def test_memory_of_a_batch_is_at_most_three_times_the_batch():
    images = np.random.default_rng(0).random((16, 1, 128, 128), np.float32)
    tables = (16 + 4) * 4096 * 4 + 4096 * 8  # tables, counts of a row of tiles and sums, for each thread
    for batch in (images, (images * 4095).astype(np.uint16)):
        for threads in (1, 2):
            aiin_batch(batch, (4, 4), 4.0, "exact", bits=12, threads=threads)
            tracemalloc.start()
            aiin_batch(batch, (4, 4), 4.0, "exact", bits=12, threads=threads)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert batch.nbytes + peak < 3 * batch.nbytes + threads * tables + 50_000


def test_kernels_compile_where_no_cache_folder_can_be_written():
    scope = {}
    exec(compile("def double(x):\n    return 2 * x\n", "<no file>", "exec"), scope)  # noqa: S102
    assert compiled(scope["double"])(21) == 42
