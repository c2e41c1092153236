"""The journal of an unfinished store: what is whole is kept, what is not is cut off."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_xr.data.pixel_store.journal import Journal
from monai_xr.data.pixel_store.pixel_cache import INDEX, checksum

HEADER: dict[str, Any] = {"size": 8, "fit": "squash"}
EXPECTED = [(f"key{place}", (place, 1)) for place in range(5)]


def _tile(place: int) -> np.ndarray:
    return np.random.default_rng(place).integers(0, 65536, (8, 8)).astype(np.uint16)


def _line(place: int) -> dict[str, Any]:
    return {"key": f"key{place}", "stamp": [place, 1], "sha256": checksum(_tile(place))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three tiles, a refused file between them."""
    journal = Journal(tmp_path, HEADER, EXPECTED)
    journal.add(_line(0), _tile(0))
    journal.add({"key": "key1", "stamp": [1, 1], "reason": "damaged"}, None)
    for place in (2, 3):
        journal.add(_line(place), _tile(place))
    journal.close()
    return tmp_path


def _kept(folder: Path, header: dict[str, Any] | None = None, expected: Any = EXPECTED) -> tuple[int, int]:
    """Lines and tiles that the next process goes on from."""
    journal = Journal(folder, header or HEADER, expected)
    journal.close()
    return len(journal.lines), (folder / "pixels.u16").stat().st_size // 128


def test_everything_whole_is_kept(folder: Path) -> None:
    assert _kept(folder) == (4, 3)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_line_that_was_cut_is_dropped_with_its_tile(folder: Path, cut: int) -> None:
    text = (folder / INDEX).read_bytes()
    (folder / INDEX).write_bytes(text[:-cut])
    assert _kept(folder) == (3, 2)


@pytest.mark.parametrize("left", [0, 1, 127, 128, 200, 256])
def test_tiles_that_are_not_there_are_made_again(folder: Path, left: int) -> None:
    pixels = (folder / "pixels.u16").read_bytes()
    (folder / "pixels.u16").write_bytes(pixels[:left])
    tiles = left // 128
    assert _kept(folder) == ({0: 0, 1: 2, 2: 3}[tiles], tiles)


def test_tile_without_line_is_cut_off(folder: Path) -> None:
    with (folder / "pixels.u16").open("ab") as file:
        file.write(b"\1" * 100)
    assert _kept(folder) == (4, 3)


def test_flipped_bit_ends_what_is_kept(folder: Path) -> None:
    pixels = bytearray((folder / "pixels.u16").read_bytes())
    pixels[130] ^= 1
    (folder / "pixels.u16").write_bytes(pixels)
    assert _kept(folder) == (2, 1)


def test_other_settings_start_anew(folder: Path) -> None:
    assert _kept(folder, {"size": 8, "fit": "pad"}) == (0, 0)


def test_changed_source_ends_what_is_kept(folder: Path) -> None:
    assert _kept(folder, expected=[*EXPECTED[:2], ("key2", (2, 99)), *EXPECTED[3:]]) == (2, 1)


def test_going_on_ends_as_if_nothing_had_happened(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (folder / INDEX).write_bytes((folder / INDEX).read_bytes()[:-3])
    journal = Journal(folder, HEADER, EXPECTED)
    for place in (3, 4):
        journal.add(_line(place), _tile(place))
    journal.close()
    whole = tmp_path_factory.mktemp("whole")
    journal = Journal(whole, HEADER, EXPECTED)
    journal.add(_line(0), _tile(0))
    journal.add({"key": "key1", "stamp": [1, 1], "reason": "damaged"}, None)
    for place in (2, 3, 4):
        journal.add(_line(place), _tile(place))
    journal.close()
    for name in (INDEX, "pixels.u16"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
