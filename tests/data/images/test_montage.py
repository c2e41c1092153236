"""Images on a sheet, by hand."""

import numpy as np
import pytest

from monai_xr.data.images.montage import montage


def test_images_keep_their_reading_order_between_black_lines() -> None:
    images = np.stack([np.full((2, 2), value) for value in (0.1, 0.2, 0.3)])
    sheet = montage(images, columns=2)
    assert sheet.shape == (8, 8)
    assert [sheet[1, 1], sheet[1, 5], sheet[5, 1], sheet[5, 5]] == pytest.approx([0.1, 0.2, 0.3, 0.0])
    assert not sheet[0].any()


def test_border_after_each_image_alone() -> None:
    sheet = montage(np.ones((2, 3, 4), np.uint8), columns=1, border=(0, 1))
    assert sheet.dtype == np.uint8
    assert sheet.tolist() == [[1, 1, 1, 1, 0]] * 3 + [[0] * 5] + [[1, 1, 1, 1, 0]] * 3 + [[0] * 5]


def test_colours_stay_with_their_pixels() -> None:
    sheet = montage(np.arange(2 * 1 * 2 * 3).reshape(2, 1, 2, 3), columns=2, border=(0, 0))
    assert sheet.tolist() == [[[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]]
