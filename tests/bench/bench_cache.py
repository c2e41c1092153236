"""Pixel cache against numpy.memmap and against decoding: `python tests/bench/bench_cache.py`."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pairs import compare
from PIL import Image

from monai_xr.data import find_records, read_image
from monai_xr.data.pixel_store.building import build_store
from monai_xr.transforms import XrayDataset

_FILMS = 64


def main() -> int:
    """Print one line for each ratio; 1 where one is missed."""
    with tempfile.TemporaryDirectory() as folder:
        results = [_bench(Path(folder), size) for size in (64, 512)]
    return 0 if all(results) else 1


def _bench(folder: Path, size: int) -> bool:
    films = folder / f"films{size}"
    films.mkdir()
    rng = np.random.default_rng(0)
    for index in range(_FILMS):
        Image.fromarray(rng.integers(0, 256, (size, size), np.uint8)).save(films / f"{index}.png")
    records = find_records(films)
    cache = build_store(records, size=size, folder=folder / "cache")
    mapped = np.memmap(cache.folder / "pixels.u16", "<u2", "r", shape=(len(cache), size, size))

    def through(source: object) -> Callable[[], None]:
        return _each(lambda place: np.multiply(source[place], np.float32(1 / 65535), dtype=np.float32))  # type: ignore[index]

    decoded = _each(lambda place: read_image(records[place].image))
    items = _each(XrayDataset(records, image_size=size, cache_dir=folder / "cache").__getitem__)
    name = f"{_FILMS} items of {size} px as float32"
    training = compare(f"{name}, data set / decoding PNG", items, decoded, 1 / 5)
    peer = compare(f"{name}, cache / numpy.memmap", through(cache), through(mapped), 1.1)
    return compare(f"{name}, cache / decoding PNG", through(cache), decoded, 1 / 10) and peer and training


def _each(read: Callable[[int], object]) -> Callable[[], None]:
    def run() -> None:
        for place in range(_FILMS):
            read(place)

    return run


if __name__ == "__main__":
    sys.exit(main())
