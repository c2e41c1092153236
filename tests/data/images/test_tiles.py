"""`monai_xr.data.images.tiles`: area means by hand, aspect handling, films that are refused."""

import numpy as np
import pytest

from monai_xr.data.images.tiles import check_fit, check_usable, tile_of, tile_spacing
from monai_xr.errors import ConfigurationError, InputDataError


def test_tile_holds_the_mean_of_each_block() -> None:
    pixels = np.random.default_rng(0).random((32, 48), np.float32)
    means = pixels.astype(np.float64).reshape(8, 4, 8, 6).mean(axis=(1, 3))  # blocks of 4 x 6 become one pixel
    assert np.abs(tile_of(pixels, 8, "squash") / 65535 - means).max() <= 1 / 65535


def test_tile_of_the_same_size_is_exact() -> None:
    stored = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    tile = tile_of((stored / 4095).astype(np.float32), 64, "squash")
    assert len(np.unique(tile)) == 4096  # no grey level of a 12-bit film is lost
    assert (tile[0, 0], tile[-1, -1]) == (0, 65535)


def test_small_film_is_enlarged_between_its_values() -> None:
    pixels = np.tile(np.linspace(0.2, 0.8, 16, dtype=np.float32), (16, 1))
    tile = tile_of(pixels, 64, "squash") / 65535
    assert tile.min() == pytest.approx(0.2, abs=1e-4)
    assert tile.max() == pytest.approx(0.8, abs=1e-4)
    assert (np.diff(tile[0]) >= 0).all()


def test_pad_keeps_the_aspect_between_black_bars() -> None:
    tile = tile_of(np.ones((64, 32), np.float32), 16, "pad")
    assert (tile[:, 4:12] == 65535).all()
    assert not tile[:, :4].any()
    assert not tile[:, 12:].any()


def test_crop_keeps_the_middle_square() -> None:
    pixels = np.zeros((32, 64), np.float32)
    pixels[:, 16:48] = 1
    assert (tile_of(pixels, 16, "crop") == 65535).all()
    assert not (tile_of(pixels, 16, "squash") == 65535).all()


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((32, 32), 0.5), "constant image"),
        (np.eye(5, 3), "3x5 pixels, fewer than 16"),
        (np.eye(16, 65), "65x16 pixels, more than 4 times"),
        (np.where(np.eye(32) > 0, np.nan, 0.5), "not finite"),
        (np.where(np.eye(32) > 0, -np.inf, 0.5), "not finite"),
    ],
)
def test_films_no_model_can_use_are_refused(pixels: np.ndarray, message: str) -> None:
    with pytest.raises(InputDataError, match=message):
        check_usable(pixels.astype(np.float32))


@pytest.mark.parametrize(("size", "fit"), [(4, "squash"), (5000, "squash"), (64, "stretch")])
def test_settings_that_do_not_exist_are_refused(size: int, fit: str) -> None:
    with pytest.raises(ConfigurationError, match=str(size) if fit == "squash" else "squash, pad, crop"):
        check_fit(size, fit)


def _mean_over_area(pixels: np.ndarray, size: int) -> np.ndarray:
    """Area means by cumulative sums: an independent way to the same numbers."""
    for axis in (0, 1):
        pixels = np.moveaxis(pixels, axis, 0)
        sums = np.concatenate([np.zeros_like(pixels[:1]), pixels.cumsum(0)])
        edges = np.arange(size + 1) * len(pixels) / size
        low = np.floor(edges).astype(int)
        share = (edges - low)[:, None]
        at = sums[low] + share * (sums[np.minimum(low + 1, len(pixels))] - sums[low])
        pixels = np.moveaxis(np.diff(at, axis=0) * size / len(pixels), 0, axis)
    return pixels


@pytest.mark.parametrize(("height", "width"), [(97, 131), (200, 64), (64, 200), (300, 301)])
def test_area_means_where_sides_do_not_divide(height: int, width: int) -> None:
    film = np.random.default_rng(height).random((height, width))
    tile = tile_of(film.astype(np.float32), 32, "squash")
    assert np.abs(tile - _mean_over_area(film, 32) * 65535).max() <= 0.55


@pytest.mark.parametrize(
    ("fit", "spacing"),
    [("squash", (0.2 * 2000 / 100, 0.1 * 3000 / 100)), ("pad", (6.0, 3.0)), ("crop", (4.0, 2.0))],
)
def test_spacing_of_a_tile(fit: str, spacing: tuple[float, float]) -> None:
    found = tile_spacing((0.2, 0.1), (2000, 3000), 100, fit)  # type: ignore[arg-type]
    assert found == pytest.approx(spacing)
    assert tile_spacing(None, (2000, 3000), 100, "pad") is None
