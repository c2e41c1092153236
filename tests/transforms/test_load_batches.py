"""Films of any kinds in one batch, through MONAI's and torch's own loaders, nothing of ours beside the transform."""

import itertools
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import monai.data
import numpy as np
import pytest
import torch
import torch.utils.data
from films import film_dataset, save_film
from monai.data import CacheDataset, DataLoader, Dataset, MetaTensor, PersistentDataset, ThreadDataLoader
from monai.data import decollate_batch as decollate
from monai.data.meta_obj import get_track_meta, set_track_meta
from monai.transforms import LoadImage
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, JPEGLosslessSV1

from monai_xr.data.images.png import write_png
from monai_xr.errors import InputDataError
from monai_xr.transforms import AIINd, LoadXray, LoadXrayd, XrayReader

HEIGHT, WIDTH = 24, 16
STORED = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 10
GREY = (STORED // 16).astype(np.uint8)
ADMIT = ("patient", "phantom")


def _dicom(path: Path, *, jpeg: bool = False, **tags: Any) -> Path:
    data = imagecodecs.jpeg8_encode(STORED, lossless=True, bitspersample=12) if jpeg else STORED.tobytes()
    syntax = JPEGLosslessSV1 if jpeg else ExplicitVRLittleEndian
    return save_film(path, film_dataset(STORED, bits=12, **tags), data, syntax)


def _picture(path: Path, levels: np.ndarray, **options: Any) -> Path:
    Image.fromarray(levels).save(path, **options)
    return path


def _phantom(path: Path) -> Path:
    write_png(path, GREY.astype(np.float32) / 255, {"Synthetic": "phantom", "SpacingMM": "0.2"}, bits=16)
    return path


KINDS: dict[str, Callable[[Path], Path]] = {
    "native": lambda folder: _dicom(folder / "native", WindowCenter=2048, WindowWidth=4096),
    "native with spacing": lambda folder: _dicom(folder / "spacing", PixelSpacing=[0.2, 0.1], ViewPosition="PA"),
    "jpeg DICOM": lambda folder: _dicom(folder / "jpeg", jpeg=True, PatientOrientation=["R", "F"]),
    "jpeg DICOM with spacing": lambda folder: _dicom(folder / "jpeg_spacing", jpeg=True, PixelSpacing=[0.2, 0.2]),
    "PNG of 8 bits": lambda folder: _picture(folder / "8.png", GREY),
    "PNG of 16 bits": lambda folder: _picture(folder / "16.png", STORED),
    "JPEG": lambda folder: _picture(folder / "film.jpg", GREY, quality=95),
    "phantom": lambda folder: _phantom(folder / "phantom.png"),
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    return {kind: write(folder) for kind, write in KINDS.items()}


def _items(films: dict[str, Path]) -> list[dict[str, Any]]:
    return [{"i": str(path), "label": place % 2} for place, path in enumerate(films.values())]


def _check_whole_batch(batch: dict[str, Any], films: dict[str, Path]) -> None:
    assert batch["i"].shape == (len(films), 1, HEIGHT, WIDTH)
    for one, path in zip(decollate(batch), films.values(), strict=True):
        alone = LoadXray(ADMIT)(path)
        torch.testing.assert_close(torch.as_tensor(one["i"]), alone.as_tensor())
        for name in ("provenance", "spacing_source", "modality", "filename_or_obj"):
            assert one["i"].meta[name] == alone.meta[name]
        np.testing.assert_array_equal(one["i"].meta["spacing_mm"], alone.meta["spacing_mm"])


def test_two_png_films_make_a_batch(films: dict[str, Path]) -> None:
    items = [{"i": films["PNG of 8 bits"]}, {"i": films["PNG of 8 bits"]}]
    batch = next(iter(DataLoader(Dataset(items, LoadXrayd("i")), batch_size=2)))
    assert batch["i"].shape == (2, 1, HEIGHT, WIDTH)


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(KINDS, 2)))
def test_every_pair_of_kinds_makes_a_batch(films: dict[str, Path], first: str, second: str) -> None:
    pair = {kind: films[kind] for kind in (first, second)}
    batch = next(iter(DataLoader(Dataset(_items(pair), LoadXrayd("i", ADMIT)), batch_size=2)))
    _check_whole_batch(batch, pair)


@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")
@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(KINDS, 2)))
def test_so_it_does_through_the_reader(films: dict[str, Path], first: str, second: str) -> None:
    load = LoadImage(reader=XrayReader(ADMIT), ensure_channel_first=True)
    batch = next(iter(DataLoader(Dataset([films[first], films[second]], load), batch_size=2)))
    assert batch.shape == (2, 1, HEIGHT, WIDTH)
    assert [Path(name).name for name in batch.meta["filename_or_obj"]] == [films[first].name, films[second].name]


def test_torchs_own_loader_batches_too(films: dict[str, Path]) -> None:
    loader = torch.utils.data.DataLoader(Dataset(_items(films), LoadXrayd("i", ADMIT)), batch_size=len(films))
    assert next(iter(loader))["i"].shape == (len(films), 1, HEIGHT, WIDTH)


@pytest.mark.parametrize("cached", ["Dataset", "CacheDataset", "PersistentDataset", "PersistentDataset, tracked"])
@pytest.mark.parametrize("loader", [DataLoader, ThreadDataLoader])
def test_cached_and_threaded_loading_gives_the_same(
    films: dict[str, Path], tmp_path: Path, cached: str, loader: type[DataLoader]
) -> None:
    load = LoadXrayd("i", ADMIT)
    data = {
        "Dataset": lambda: Dataset(_items(films), load),
        "CacheDataset": lambda: CacheDataset(_items(films), load, progress=False),
        "PersistentDataset": lambda: PersistentDataset(_items(films), load, cache_dir=tmp_path),
        "PersistentDataset, tracked": lambda: PersistentDataset(
            _items(films), load, cache_dir=tmp_path, track_meta=True, weights_only=False
        ),
    }[cached]()
    for _ in range(2):  # the second time from the cache
        batch = next(iter(loader(data, batch_size=len(films), num_workers=0)))
        if cached == "PersistentDataset":  # keeps no metadata unless asked
            assert torch.equal(batch["i"], torch.stack([LoadXray(ADMIT)(path).as_tensor() for path in films.values()]))
        else:
            _check_whole_batch(batch, films)


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_give_the_same(films: dict[str, Path], context: str) -> None:
    loader = DataLoader(
        Dataset(_items(films), LoadXrayd("i", ADMIT)),
        batch_size=len(films),
        num_workers=1,
        multiprocessing_context=multiprocessing.get_context(context),
    )
    _check_whole_batch(next(iter(loader)), films)


def test_steps_are_lines_and_what_is_unknown_is_nan_or_empty(films: dict[str, Path]) -> None:
    meta = LoadXray()(films["PNG of 8 bits"]).meta
    assert meta["provenance"].splitlines() == ["PNG of L decoded by Pillow", "divided by 255"]
    assert torch.isnan(meta["spacing_mm"]).all()
    assert meta["spacing_source"] == ""
    calibrated = LoadXray()(films["native with spacing"]).meta
    np.testing.assert_array_equal(calibrated["spacing_mm"], [0.2, 0.1])
    assert len(calibrated["provenance"].splitlines()) > 2


def test_batch_normalises_film_by_film(films: dict[str, Path]) -> None:
    load = monai.transforms.Compose([LoadXrayd("i", ADMIT), AIINd("i", (2, 2), 2, "exact", bits=None)])
    batch = next(iter(DataLoader(Dataset(_items(films), load), batch_size=len(films))))
    assert batch["i"].shape == (len(films), 1, HEIGHT, WIDTH)


def test_without_tracking_films_are_plain_tensors(films: dict[str, Path]) -> None:
    before = get_track_meta()
    try:
        set_track_meta(False)
        film = LoadXray()(films["native with spacing"])
        item = LoadXrayd("i")({"i": films["native with spacing"]})
    finally:
        set_track_meta(before)
    assert type(film) is type(item["i"]) is torch.Tensor
    assert isinstance(LoadXray()(films["native with spacing"]), MetaTensor)
    torch.testing.assert_close(film, LoadXray()(films["native with spacing"]).as_tensor())


@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")
def test_reader_stacks_films_of_one_size_and_refuses_two(films: dict[str, Path], tmp_path: Path) -> None:
    reader = XrayReader()
    pixels, _ = reader.get_data(reader.read([films["PNG of 8 bits"], films["PNG of 16 bits"]]))
    assert pixels.shape == (2, HEIGHT, WIDTH)
    other = _picture(tmp_path / "other.png", GREY[:12])
    refusal = r"12 x 16 beside 24 x 16 pixels : other\.png"
    with pytest.raises(InputDataError, match=refusal):
        reader.get_data(reader.read([films["PNG of 8 bits"], other]))
    with pytest.raises(InputDataError, match=refusal):
        LoadImage(reader=reader, ensure_channel_first=True)([films["PNG of 8 bits"], other])


@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")
def test_refused_film_is_not_read_by_another_of_monais_readers(films: dict[str, Path]) -> None:
    with pytest.raises(InputDataError, match="a phantom, not a film"):
        LoadImage(reader=XrayReader(), ensure_channel_first=True)(films["phantom"])
