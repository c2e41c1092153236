"""The size of a prepared set is that of its films, and is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_xr.data.preparing.tile_size import chosen_size, size_note


def films(root: Path, sides: list[int], *, bits: int = 8) -> Path:
    """Write one PNG a patient, of noise."""
    random = np.random.default_rng(0)
    levels = random.integers(0, 1 << bits, size=(len(sides), max(sides), max(sides)))
    for place, side in enumerate(sides):
        path = root / ("sick", "well")[place % 2] / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels[place, :side, :side].astype(np.uint8 if bits == 8 else np.uint16)).save(path)
    return root


@pytest.mark.parametrize(
    ("sides", "size"),
    [([128] * 10, 128), ([2000] * 10, 256), ([255] * 10, 128), ([500] * 19 + [40], 256), ([20], 32), ([], 256)],
)
def test_size_is_the_largest_to_which_hardly_a_film_is_enlarged(sides: list[int], size: int) -> None:
    assert chosen_size([(side + 50, side, 8) for side in sides]) == size


@pytest.mark.parametrize(
    ("shapes", "size", "told"),
    [
        (
            [(128, 128, 8)] * 3,
            128,
            "128 pixels on the short side and 8 bits; they are kept as they are",
        ),
        ([(900, 700, 12)] * 3, 256, "700 pixels on the short side and 12 bits; they are shrunk by averaging"),
        (
            [(128, 128, 8), (64, 64, 16)],
            128,
            "64 to 128 pixels on the short side and 8 and 16 bits; 1 of 2 are enlarged, which adds nothing: "
            "--size 64 is theirs",
        ),
        ([], 256, "size 256: no film tells its own"),
    ],
)
def test_note_says_how_films_fit(shapes: Any, size: int, told: str) -> None:
    assert told in size_note(shapes, size)


def test_set_has_the_size_of_its_films_and_eight_bits_stay_eight_bits(tmp_path: Path, run: Any, report: Any) -> None:
    source = films(tmp_path / "films", [64] * 12)
    result = run(source, tmp_path / "out", size=None, no_patients=True)
    assert result.settings["size"] == 64
    assert "they are kept as they are, level for level" in report(tmp_path / "out")["size_note"]
    for place, record in zip(result.places, result.records, strict=True):
        levels = np.asarray(Image.open(source / record.shown))
        assert (result.cache[place] == levels.astype(np.uint16) * 257).all()


def test_what_is_prepared_again_keeps_its_size_and_its_note(tmp_path: Path, run: Any, report: Any) -> None:
    source = films(tmp_path / "films", [64] * 12)
    first = run(source, tmp_path / "out", size=32, no_patients=True)
    again = run(source, tmp_path / "out", size=None, no_patients=True)
    assert (first.size_note, first.settings["size"]) == (again.size_note, again.settings["size"])
    assert "shrunk by averaging" in report(tmp_path / "out")["size_note"]


def test_enlarging_is_never_silent(tmp_path: Path, monai_xr: Any) -> None:
    source = films(tmp_path / "films", [64] * 12)
    code, out, error = monai_xr("prepare", source, "out", "--size", "128", "--no-patients")
    assert code == 0, error
    assert "12 of 12 are enlarged, which adds nothing: --size 64 is theirs" in " ".join(out.split())
