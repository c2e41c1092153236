"""AIIN's numbers: against OpenCV on every pixel, against the float64 definition, and its properties."""

import warnings

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transforms.aiin.reference_clahe import clahe, interpolated, tables

from monai_xr.errors import InputDataError
from monai_xr.transforms.aiin import tensors as aiin_tensors
from monai_xr.transforms.aiin.settings import checked_settings, lay_tiles
from monai_xr.transforms.aiin.transforms import AIINWarning, aiin, aiin_batch, aiin_maps, apply_aiin_maps

pytestmark = pytest.mark.filterwarnings("ignore::monai_xr.transforms.AIINWarning")


def smooth_levels(rng, size, levels, dtype):
    """Give an image with the long histogram tails of a film: few levels in most tiles, all of them in some."""
    coarse = rng.random([max(2, n // 16) for n in size])
    field = coarse[tuple(np.ix_(*[np.arange(n) * c // n for n, c in zip(size, coarse.shape, strict=True)]))]
    noise = rng.normal(0, rng.choice([0.002, 0.05, 0.5]), size)
    return np.clip((field + noise) * levels, 0, levels - 1).astype(dtype)


def random_case(rng, longest):
    size = tuple(int(n) for n in rng.integers(1, longest, 2))
    grid = tuple(int(n) for n in rng.integers(1, 13, 2))
    return size, grid, float(rng.choice([0, 0.3, 1, 2, 2.5, 4, 10, 40, 1000]) * rng.uniform(0.5, 1.5))


def test_opencv_mode_equals_opencv_in_2000_random_cases():
    rng = np.random.default_rng(20)
    for _ in range(2000):
        size, grid, clip_limit = random_case(rng, rng.choice([12, 96, 400]))
        image = smooth_levels(rng, size, 256, np.uint8)
        expected = cv2.createCLAHE(clip_limit, grid).apply(image)
        np.testing.assert_array_equal(aiin(image, grid, clip_limit), expected, err_msg=f"{size} {grid} {clip_limit}")


@pytest.mark.parametrize("bits", range(9, 17))
def test_opencv_mode_of_deep_images_equals_opencv_with_its_bit_shift(bits):
    rng = np.random.default_rng(bits)
    shift = 16 - bits  # 0 at 16 bits: OpenCV as it comes
    for _ in range(60):
        size, grid, clip_limit = random_case(rng, 150)
        image = smooth_levels(rng, size, 1 << bits, np.uint16)
        opencv = cv2.createCLAHE(clip_limit, grid)
        opencv.setBitShift(shift)
        expected = opencv.apply(image << shift) >> shift
        told = f"{size} {grid} {clip_limit}"
        np.testing.assert_array_equal(aiin(image, grid, clip_limit, bits=bits), expected, err_msg=told)
        of_floats = aiin(image / ((1 << bits) - 1), grid, clip_limit, bits=bits)
        np.testing.assert_allclose(of_floats, expected / ((1 << bits) - 1), rtol=0, atol=1e-6, err_msg=told)


def test_opencv_mode_of_a_16_bit_film_is_plain_opencv():
    image = smooth_levels(np.random.default_rng(3), (300, 256), 1 << 16, np.uint16)
    for path in (image, torch.from_numpy(image)):
        result = np.asarray(aiin(path, (8, 8), 40.0, bits=16))
        np.testing.assert_array_equal(result, cv2.createCLAHE(40.0, (8, 8)).apply(image))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_exact_mode_is_the_definition(bits):
    rng = np.random.default_rng(bits)
    for _ in range(60):
        size, grid, clip_limit = random_case(rng, 80)
        levels = 1 << bits
        image = smooth_levels(rng, size, levels, np.uint8 if bits == 8 else np.uint16)
        expected = clahe(image, grid[::-1], clip_limit, levels=levels) / (levels - 1)
        result = aiin(image, grid, clip_limit, "exact", bits=bits)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result / (levels - 1), expected, rtol=0, atol=1e-6)
        of_floats = aiin(image.astype(np.float64) / (levels - 1), grid, clip_limit, "exact", bits=bits)
        np.testing.assert_allclose(of_floats, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["opencv", "exact"])
def test_blocks_of_a_volume_are_the_definition(mode):
    rng = np.random.default_rng(5)
    for size, grid in [((9, 20, 24), (2, 3, 4)), ((7, 11, 13), (3, 2, 2)), ((4, 8, 8), (1, 2, 2))]:
        volume = smooth_levels(rng, size, 1024, np.uint16)
        expected = clahe(volume, grid, 3.0, levels=1024, mode=mode)
        result = aiin(volume, grid[::-1], 3.0, mode, bits=10)
        if mode == "exact":
            np.testing.assert_allclose(result, expected, rtol=0, atol=1e-3)
        else:  # float32 may round a half the other way
            assert np.abs(result - expected).max() < 0.501


@pytest.mark.parametrize("mode", ["opencv", "exact"])
@pytest.mark.parametrize("bits", [8, 12])
def test_tensor_path_has_the_numbers_of_the_array_path(mode, bits):
    rng = np.random.default_rng(bits)
    for size, grid in [
        ((40, 56), (4, 7)),
        ((33, 47), (5, 3)),
        ((6, 5), (8, 8)),
        ((1, 9), (2, 2)),
        ((8, 9, 10), (2, 2, 3)),
    ]:
        for clip_limit in (0.0, 0.7, 4.0):
            images = np.stack([smooth_levels(rng, size, 1 << bits, np.int32) for _ in range(3)])
            chosen = checked_settings(grid, clip_limit, mode, bits)
            blocks = torch.from_numpy(images.reshape(3, *(1,) * (3 - len(size)), *size))
            tiles = lay_tiles(size, chosen)
            for given_images in (blocks, blocks / ((1 << bits) - 1)):
                result = aiin_tensors.equalise(given_images, tiles, chosen).reshape(images.shape)
                expected = aiin_batch(given_images.reshape(images.shape), grid, clip_limit, mode, bits=bits)
                assert result.dtype == expected.dtype
                if mode == "opencv":
                    torch.testing.assert_close(result, expected, rtol=0, atol=0)
                else:
                    scale = 1 if given_images.is_floating_point() else (1 << bits) - 1
                    torch.testing.assert_close(result / scale, expected / scale, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["opencv", "exact"])
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_tensor_path_takes_unsigned_16_bit_levels(mode, bits):
    images = smooth_levels(np.random.default_rng(bits), (2, 1, 24, 20), 1 << bits, np.uint16)
    chosen = checked_settings((2, 2), 50.0, mode, bits)
    result = aiin_tensors.equalise(torch.from_numpy(images), lay_tiles((24, 20), chosen), chosen)
    expected = aiin_batch(images, (2, 2), 50.0, mode, bits=bits)
    assert result.numpy().dtype == expected.dtype
    np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=0 if mode == "opencv" else 1e-6 * (1 << bits))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((1, 1, 4, 4), torch.nan), "not a number"),
        (torch.full((1, 1, 4, 4), 1.5), "scale floats"),
        (torch.full((1, 1, 4, 4), -3), "negative level"),
        (torch.full((1, 1, 4, 4), 300), "level 300"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.bool), "bool"),
    ],
)
def test_tensor_path_refuses_what_the_array_path_refuses(images, message):
    with pytest.raises(InputDataError, match=message):
        aiin_tensors.to_bins(images, checked_settings((2, 2), 2.0, "exact", 8))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("mode", ["opencv", "exact"])
def test_cuda_gives_the_numbers_of_the_cpu_and_can_be_captured(mode):
    images = torch.from_numpy(smooth_levels(np.random.default_rng(0), (4, 1, 75, 64), 4096, np.int32))
    expected = aiin_batch(images, (4, 3), 6.0, mode, bits=12)
    atol = 0 if mode == "opencv" else 1e-6 * 4095
    on_device = images.cuda()
    result = aiin_batch(on_device, (4, 3), 6.0, mode, bits=12)
    assert result.device == on_device.device
    torch.testing.assert_close(result.cpu(), expected, rtol=0, atol=atol)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = aiin_batch(on_device, (4, 3), 6.0, mode, bits=12, validate=False)
    graph.replay()
    torch.testing.assert_close(captured.cpu(), expected, rtol=0, atol=atol)


def test_tensor_path_splits_a_large_batch(monkeypatch):
    images = torch.randint(0, 256, (5, 1, 32, 32), dtype=torch.uint8)
    chosen = checked_settings((2, 2), 2.0, "opencv", 8)
    whole = aiin_tensors.equalise(images, lay_tiles((32, 32), chosen), chosen)
    monkeypatch.setattr(aiin_tensors, "PIXELS_AT_ONCE", 2 * 32 * 32)
    torch.testing.assert_close(aiin_tensors.equalise(images, lay_tiles((32, 32), chosen), chosen), whole)


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("count", [1, 5])
def test_threads_change_nothing(threads, count):
    images = smooth_levels(np.random.default_rng(3), (count, 67, 45), 4096, np.uint16)
    for mode in ("opencv", "exact"):
        one = aiin_batch(images, (3, 4), 2.0, mode, bits=12)
        np.testing.assert_array_equal(aiin_batch(images, (3, 4), 2.0, mode, bits=12, threads=threads), one)


@pytest.mark.parametrize("mode", ["opencv", "exact"])
def test_mask_leaves_the_background_out(mode):
    rng = np.random.default_rng(8)
    image = smooth_levels(rng, (60, 50), 256, np.uint8)
    mask = np.zeros((60, 50), bool)
    mask[10:40, 20:45] = True  # several tiles hold no pixel of it
    result = aiin(image, (5, 6), 4.0, mode, mask=mask)
    assert np.abs(result - clahe(image, (6, 5), 4.0, mode=mode, inside=mask)).max() < (
        0.501 if mode == "opencv" else 3e-4
    )
    np.testing.assert_array_equal(result[~mask], image[~mask])
    other = np.where(mask, image, 255).astype(np.uint8)
    np.testing.assert_array_equal(aiin(other, (5, 6), 4.0, mode, mask=mask)[mask], result[mask])
    chosen = checked_settings((5, 6), 4.0, mode, 8)
    blocks, inside = torch.from_numpy(image)[None, None], torch.from_numpy(mask)[None, None]
    on_device = aiin_tensors.equalise_inside(blocks, inside, lay_tiles((60, 50), chosen), chosen)
    torch.testing.assert_close(on_device[0, 0], torch.from_numpy(result), rtol=0, atol=3e-4)


@pytest.mark.parametrize("mode", ["opencv", "exact"])
def test_patch_gets_the_numbers_of_the_whole(mode):
    image = smooth_levels(np.random.default_rng(9), (75, 64), 256, np.uint8)
    whole = aiin(image, (4, 3), 3.0, mode)
    maps = aiin_maps(image, (4, 3), 3.0, mode)
    for y, x, h, w in [(0, 0, 75, 64), (5, 7, 20, 30), (60, 50, 15, 14), (33, 0, 1, 64), (74, 63, 1, 1)]:
        patch = apply_aiin_maps(image[y : y + h, x : x + w], maps, (y, x))
        np.testing.assert_array_equal(patch, whole[y : y + h, x : x + w])
        tables_here, tile = tables(image, (3, 4), 3.0, levels=256, mode=mode)
        expected = interpolated(image[y : y + h, x : x + w], tables_here, tile, levels=256, origin=(y, x))
        assert np.abs(patch - expected).max() < (0.501 if mode == "opencv" else 3e-4)


def test_slices_are_images():
    volume = smooth_levels(np.random.default_rng(2), (40, 30, 5), 4096, np.uint16)
    result = aiin(volume[None], (3, 4), 2.0, "exact", bits=12, slice_axis=-1)
    assert result.shape == (1, 40, 30, 5)
    for k in range(5):
        alone = aiin(np.ascontiguousarray(volume[..., k]), (3, 4), 2.0, "exact", bits=12)
        np.testing.assert_array_equal(result[0, ..., k], alone)


@pytest.mark.parametrize(("clip_limit", "level"), [(2.0, 103), (10.0, 111), (40.0, 128), (0.0, 255)])
def test_constant_image_has_the_level_of_the_definition(clip_limit, level):
    # One bin holds all 1,024 counts of a tile: limit ct * 4, the excess is spread over 256 bins.
    image = np.full((128, 128), 100, np.uint8)
    assert set(aiin(image, (4, 4), clip_limit).ravel()) == {level}
    limit = clip_limit * 4 if clip_limit else 1024
    expected = (limit + 101 * (1024 - limit) / 256) * 255 / 1024
    np.testing.assert_allclose(aiin(image, (4, 4), clip_limit, "exact"), expected, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    grid=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    clip_limit=st.floats(0.05, 50),
    bits=st.sampled_from([8, 12, 14]),
)
def test_exact_tables_rise_to_the_top_with_a_bounded_slope(seed, grid, clip_limit, bits):
    image = smooth_levels(np.random.default_rng(seed), (31, 42), 1 << bits, np.uint16)
    maps = aiin_maps(image, grid, clip_limit, "exact", bits=bits)
    top, step = (1 << bits) - 1, (1 << bits) / min(1 << bits, 4096)
    slope = np.diff(np.asarray(maps.tables, np.float64), axis=1)
    assert slope.min() >= -1e-6 * top
    assert slope.max() <= (clip_limit + 1) * step + 1e-6 * top
    np.testing.assert_allclose(maps.tables[:, -1], top, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), mode=st.sampled_from(["opencv", "exact"]))
def test_transposed_image_and_grid_give_the_transposed_result(seed, mode):
    image = smooth_levels(np.random.default_rng(seed), (35, 48), 256, np.uint8)
    result = aiin(image, (4, 3), 3.0, mode).astype(np.float64)
    transposed = aiin(np.ascontiguousarray(image.T), (3, 4), 3.0, mode).T
    # Blending the axes in the other order moves the last bit, which may round a half the other way.
    assert np.abs(result - transposed).max() <= (1 if mode == "opencv" else 1e-3)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), mode=st.sampled_from(["opencv", "exact"]))
def test_result_stays_on_the_scale(seed, mode):
    image = np.random.default_rng(seed).random((29, 31))
    result = aiin(image, (5, 4), 1e6, mode)
    assert result.min() >= 0
    assert result.max() <= 1


def test_one_tile_without_limit_is_equalisation_by_ranks():
    image = np.array([[0, 10], [10, 255]], np.uint8)
    expected = np.array([[0.25, 0.75], [0.75, 1.0]]) * 255
    np.testing.assert_allclose(aiin(image, (1, 1), 0, "exact"), expected, rtol=1e-6)


def test_small_tiles_keep_the_meaning_of_the_limit_in_exact_mode():
    image = smooth_levels(np.random.default_rng(1), (64, 64), 256, np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AIINWarning)
        collapsed = [aiin(image, (8, 8), limit) for limit in (0.5, 1.0, 3.9)]
    assert all(np.array_equal(collapsed[0], other) for other in collapsed)
    kept = [aiin(image, (8, 8), limit, "exact") for limit in (0.5, 1.0, 3.9)]
    spread = [np.abs(result - image).mean() for result in kept]
    assert spread[0] < spread[1] < spread[2]
