"""AIIN and AIINd: kinds in and out, metadata, refusals."""

import cv2
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Flipd

from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.transforms.aiin import AIIN, AIINd, aiin


@pytest.fixture
def levels() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (37, 50), np.uint8)


def test_uint8_equals_opencv(levels):
    np.testing.assert_array_equal(aiin(levels, (5, 3), 2.5), cv2.createCLAHE(2.5, (5, 3)).apply(levels))


def test_floats_are_the_same_levels_over_255(levels):
    result = aiin(levels[None] / 255)
    assert result.dtype == np.float32
    assert result.shape == (1, 37, 50)
    np.testing.assert_array_equal(np.rint(result[0] * 255), cv2.createCLAHE(10, (4, 4)).apply(levels))


def test_kind_in_is_kind_out(levels):
    scaled = torch.from_numpy(levels)[None] / 255
    assert type(AIIN()(levels)) is np.ndarray
    assert type(AIIN()(scaled)) is torch.Tensor
    result = AIIN()(MetaTensor(scaled, meta={"case": "a"}))
    assert type(result) is MetaTensor
    assert result.meta["case"] == "a"


def test_compose_applies_records_and_inverts(levels):
    scaled = MetaTensor(torch.from_numpy(levels)[None] / 255)
    chain = Compose([Flipd("image", 1), AIINd("image", (2, 2), 3.0)], lazy=True)
    result = chain({"image": scaled})["image"]
    assert result.applied_operations[-1]["extra_info"]["clip_limit"] == 3.0
    expected = cv2.createCLAHE(3.0, (2, 2)).apply(np.ascontiguousarray(levels[:, ::-1]))
    np.testing.assert_array_equal(np.rint(np.asarray(result[0]) * 255), expected)
    back = Compose(chain.transforms).inverse({"image": result})["image"]
    np.testing.assert_array_equal(np.asarray(back[0])[:, ::-1], np.asarray(result[0]))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 8, 8), np.uint8), "RGB"),
        (np.zeros((1, 0, 8), np.float32), "at least one pixel"),
        (np.full((16, 16), np.nan), "NaN"),
        (np.full((16, 16), 200.0), r"\[0, 1\]"),
        (np.zeros((16, 16), bool), "bool"),
    ],
)
def test_image_that_cannot_work_is_refused(image, message):
    with pytest.raises(InputDataError, match=message):
        aiin(image, (1, 1))


@pytest.mark.parametrize("settings", [{"clip_limit": -1.0}, {"clip_limit": float("nan")}, {"tile_grid_size": (0, 4)}])
def test_setting_that_cannot_work_is_refused(settings):
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        AIIN(**settings)
