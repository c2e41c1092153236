"""What AIIN refuses and what it warns of."""

import numpy as np
import pytest
import torch

from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.transforms import AIINd, AIINWarning, RandAIIN
from monai_xr.transforms.aiin.transforms import AIIN, aiin, aiin_batch, aiin_maps, apply_aiin_maps


@pytest.fixture
def levels() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (37, 50), np.uint8)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 16, 16), np.uint8), "3 channels.*RGB"),
        (np.zeros((16, 16, 3), np.uint8), "16 channels"),
        (np.zeros((1, 4, 16, 16), np.uint8), "slice_axis"),
        (np.zeros(16, np.uint8), "shape"),
        (np.zeros((1, 0, 16), np.float32), "at least one pixel"),
        (np.full((16, 16), np.nan), "not a number"),
        (np.where(np.eye(16) > 0, np.nan, 0.5), "not a number"),
        (np.where(np.eye(16) > 0, np.inf, 0.5), "inf"),
        (np.full((16, 16), 200.0), r"200.*scale floats to \[0, 1\]"),
        (np.full((16, 16), -0.1), r"-0\.1"),
        (np.full((16, 16), 256, np.uint16), "level 256 in an image of 8 bits"),
        (np.full((16, 16), -1000, np.int16), "negative level -1000"),
        (np.zeros((16, 16), bool), "bool"),
        (np.zeros((16, 16), complex), "complex"),
    ],
)
def test_image_that_cannot_work_is_refused(image, message):
    with pytest.raises(InputDataError, match=message):
        aiin(image, (1, 1))
    with pytest.raises(InputDataError, match=message):
        aiin(torch.from_numpy(image), (1, 1))


@pytest.mark.parametrize(
    "settings",
    [
        {"clip_limit": -1.0},
        {"clip_limit": float("nan")},
        {"clip_limit": float("inf")},
        {"clip_limit": "high"},
        {"tile_grid_size": (0, 4)},
        {"tile_grid_size": 0},
        {"tile_grid_size": (4.5, 4)},
        {"tile_grid_size": (4,)},
        {"tile_grid_size": None},
        {"mode": "cv2"},
        {"bits": 7},
        {"bits": 17},
        {"bits": 12.5},
    ],
)
def test_setting_that_cannot_work_is_refused(settings):
    name = next(iter(settings))
    with pytest.raises(ConfigurationError, match=name):
        AIIN(**settings)


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"prob": 1.0, "tile_grid_size": 4}, "tile_grid_size"), ({"tile_grid_size": (5, 2)}, "tile_grid_size")]
    + [({"clip_limit": limits}, "clip_limit") for limits in (3.0, (0.0, 2.0), (4.0, 2.0), (1.0, float("inf")))],
)
def test_random_range_that_cannot_work_is_refused(settings, name):
    with pytest.raises(ConfigurationError, match=name):
        RandAIIN(**settings)


def test_calls_that_do_not_fit_the_image_are_refused(levels):
    with pytest.raises(ConfigurationError, match="bits"):
        aiin(levels, clip_limit=100, bits=12)
    with pytest.raises(ConfigurationError, match="threads"):
        aiin(levels, threads=0)
    with pytest.raises(InputDataError, match="mask of shape"):
        aiin(levels, mask=np.ones((3, 3)))
    with pytest.raises(InputDataError, match="mask without a pixel"):
        aiin(levels, mask=np.zeros(levels.shape))
    with pytest.raises(ConfigurationError, match="slice_axis"):
        aiin(np.zeros((4, 4, 4)), slice_axis=3)
    with pytest.raises(InputDataError, match="batch"):
        aiin_batch(np.zeros((2, 3, 8, 8)))
    with pytest.raises(ConfigurationError, match="origin_key"):
        AIINd("image", origin_key="corner")
    maps = aiin_maps(levels)
    for origin in ((20, 0), (-1, 0), (0,)):
        with pytest.raises(ConfigurationError, match="origin"):
            apply_aiin_maps(levels[:20], maps, origin)


def test_rounding_of_a_resampled_image_is_no_fault(levels):
    scaled = levels.astype(np.float32) / 255
    outside = np.where(levels > 250, np.float32(1 + 5e-7), np.where(levels < 5, np.float32(-5e-7), scaled))
    inside = np.where(levels > 250, 1, np.where(levels < 5, 0, scaled))
    np.testing.assert_array_equal(aiin(outside), aiin(inside))


def test_floored_limit_is_told_with_the_limit_that_would_work():
    image = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    # 8x8 tiles of 64 pixels: one count a bin of 256 is clip limit 4, two counts are 8.
    with pytest.warns(AIINWarning, match=r"0\.5 counts.*every clip_limit below 8 gives the same picture") as told:
        low = aiin(image, (8, 8), 2.0)
    assert told[0].filename == __file__
    np.testing.assert_array_equal(low, aiin(image, (8, 8), 7.99))
    assert not np.array_equal(low, aiin(image, (8, 8), 8.0))
    aiin(image, (8, 8), 2.0, "exact")
    aiin(image, (8, 8), 0.0)


def test_more_tiles_than_pixels_are_told():
    with pytest.warns(AIINWarning, match=r"\(2, 9\) on an image of 8x8 pixels"):
        aiin(np.zeros((8, 8), np.uint8), (2, 9), 100.0)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 3e38])
def test_odd_values_cannot_leave_the_tables(bits, odd):
    images = np.full((3, 64, 64), 0.5, np.float32)
    images[1, 5:9] = odd
    for threads in (1, 4):
        with pytest.raises(InputDataError):
            aiin_batch(images, (2, 2), 100.0, bits=bits, threads=threads)


def test_one_number_of_tiles_may_come_from_any_library(levels):
    for tiles in (3, np.int64(3), torch.tensor(3), [3, 3]):
        np.testing.assert_array_equal(aiin(levels, tiles), aiin(levels, (3, 3)))
