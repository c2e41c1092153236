"""The depth that 16-bit PNG films use: exports of fewer bits, dark films, mixtures. Expected depths by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_xr.data.images.png import read_png_or_jpeg, write_png
from monai_xr.data.images.png_depth import depth_of, exports_of
from monai_xr.data.images.png_exports import exports_under
from monai_xr.data.inspecting import inspect_folder
from monai_xr.data.inspecting.faults import DEPTH
from monai_xr.data.pixel_store.building import build_store
from monai_xr.data.preparing import PrepareSettings, prepare
from monai_xr.data.sources.finding import find_records


@pytest.mark.parametrize(
    ("peaks", "exports"),
    [
        ([4095] * 20, (12,)),
        ([1023] * 20, (10,)),
        ([16000] * 20, (14,)),
        ([65535] * 20, (16,)),
        ([4095] * 19 + [700], (12,)),  # a dark film of 12 bits
        ([65535] * 19 + [3000], (16,)),  # a dark film of 16 bits
        ([4095] * 19 + [65535], (12,)),  # a stray
        ([65535] * 10 + [4095] * 10, (16, 12)),  # two exports
        ([255] * 20, (8,)),
        ([3000], (12,)),
        ([900], (12,)),  # too few to tell from a dark film of 12 bits
        ([9000], (16,)),
        ([0] * 20, (8,)),
        ([], ()),
    ],
)
def test_exports_of_a_folder(peaks: list[int], exports: tuple[int, ...]) -> None:
    assert exports_of(peaks) == exports


@pytest.mark.parametrize(
    ("peak", "exports", "depth", "doubtful"),
    [
        (4095, (12,), 12, False),
        (700, (12,), 12, False),
        (200, (12,), 12, True),  # below a sixteenth
        (60000, (12,), 16, True),
        (3000, (16,), 16, True),
        (5000, (16,), 16, False),
        (3000, (16, 12), 12, True),
        (60000, (16, 12), 16, True),
        (3000, (), 12, True),
        (60000, (), 16, False),
    ],
)
def test_depth_of_a_film(peak: int, exports: tuple[int, ...], depth: int, doubtful: bool) -> None:
    assert depth_of(peak, exports) == (depth, doubtful)


def _film(seed: int, top: int) -> np.ndarray:
    levels = np.random.default_rng(seed).integers(0, top, (40, 40)).astype(np.uint16)
    levels[0, 0] = top
    return levels


@pytest.fixture
def twelve_bits(tmp_path: Path, png: Any) -> Path:
    """Twenty films of 12 bits, one of them dark."""
    for index in range(20):
        png(
            tmp_path / "films" / ("sick", "well")[index % 2] / f"{index}.png",
            pixels=_film(index, 4095 if index else 210),
        )
    return tmp_path / "films"


def test_folder_of_12_bits_is_read_alike_by_training_preparing_and_inspecting(
    twelve_bits: Path, tmp_path: Path
) -> None:
    levels = _film(3, 4095)
    assert exports_under(twelve_bits) == (12,)
    cache = build_store(find_records(twelve_bits), size=40, folder=tmp_path / "cache")
    place = [record.image.name for record in cache.records].index("3.png")
    np.testing.assert_allclose(cache[place] / 65535, levels / 4095, atol=1e-5)
    assert {facts.bits for facts in cache.facts} == {12}
    result = prepare(twelve_bits, tmp_path / "set", PrepareSettings(size=40, decode="direct", no_patients=True))
    assert result.cache is not None
    np.testing.assert_array_equal(result.cache.pixels, cache.pixels)
    notes = ("16-bit PNG films are read as films of 12 bits", "depth doubtful of 1 films: sick/0.png")
    assert set(notes) <= set(result.notes)
    assert json.loads((tmp_path / "set" / "report.json").read_text())["depth_doubtful"] == ["sick/0.png"]
    found = inspect_folder(twelve_bits)
    assert {film.bits for film in found.films} == {12}
    assert found.problems()[DEPTH] == ["sick/0.png"]
    assert notes[0] in found.notes


def test_dark_film_among_films_of_16_bits_stays_dark(tmp_path: Path, png: Any) -> None:
    for index in range(20):
        png(tmp_path / "films" / f"{index}.png", pixels=_film(index, 60000 if index else 3000))
    cache = build_store(find_records(tmp_path / "films"), size=40, folder=tmp_path / "cache")
    place = [record.image.name for record in cache.records].index("0.png")
    assert cache[place].max() == 3000
    assert [facts.doubt for facts in cache.facts].count("depth doubtful") == 1
    assert cache.facts[place].doubt == "depth doubtful"


def test_film_alone_says_what_it_was_taken_for(tmp_path: Path, png: Any) -> None:
    film = read_png_or_jpeg(png(tmp_path / "a.png", pixels=_film(0, 4095)))
    assert film.bits == 12
    assert film.pixels.max() == 1
    assert "12 of 16 bits in use (depth doubtful)" in film.provenance


def test_file_that_tells_its_depth_is_believed(tmp_path: Path) -> None:
    dark = (_film(0, 3000) / 65535).astype(np.float32)
    write_png(tmp_path / "a.png", dark, {}, bits=16)
    film = read_png_or_jpeg(tmp_path / "a.png", exports=(12,))
    assert (film.bits, film.provenance[1]) == (16, "16 of 16 bits in use, as the file tells")
    np.testing.assert_allclose(film.pixels, dark, atol=1e-5)
    assert exports_under(tmp_path) == ()
