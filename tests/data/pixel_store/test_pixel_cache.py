"""`PixelCache`: right pixels, decoded once, whole or not there."""

import fcntl
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_xr.data.pixel_store import building as pixel_building
from monai_xr.data.pixel_store import tile_making as pixel_decoding
from monai_xr.data.pixel_store.building import build_store
from monai_xr.data.pixel_store.pixel_cache import PixelCache
from monai_xr.data.records import Records
from monai_xr.data.sources.finding import find_records
from monai_xr.errors import ConfigurationError, HostError, InputDataError, PassingError


@pytest.fixture
def films(tmp_path: Path, png: Any, dicom: Any) -> Path:
    """Six films in two classes, and one broken file."""
    root = tmp_path / "films"
    for index in range(3):
        png(root / "sick" / f"{index}.png", index)
        png(root / "well" / f"{index}.png", index + 10)
    (root / "well" / "broken.png").write_bytes((root / "well" / "0.png").read_bytes()[:200])
    return root


def _build(root: Path, folder: Path, **settings: Any) -> PixelCache:
    return build_store(find_records(root), folder=folder, **{"size": 8} | settings)


def test_tiles_are_area_means_at_16_bit(films: Path, tmp_path: Path) -> None:
    cache = _build(films, tmp_path / "cache")
    for record, tile in zip(cache.records, cache.pixels, strict=True):
        stored = np.asarray(Image.open(record.image), np.float64) / 255  # 40 x 32
        means = stored.reshape(8, 5, 8, 4).mean(axis=(1, 3))
        assert np.abs(tile / 65535 - means).max() <= 1 / 65535


def test_dicom_films_come_in_upright_grey_levels(tmp_path: Path, dicom: Any) -> None:
    ramp = np.tile(np.linspace(0, 4095, 64).astype(np.uint16), (64, 1))
    dicom(tmp_path / "films" / "1", pixels=ramp)
    dicom(tmp_path / "films" / "2", pixels=ramp, PhotometricInterpretation="MONOCHROME1")
    cache = _build(tmp_path / "films", tmp_path / "cache", size=64)
    assert (np.diff(cache[0][0].astype(int)) >= 0).all()
    assert (np.diff(cache[1][0].astype(int)) <= 0).all()
    assert [facts.bits for facts in cache.facts] == [12, 12]
    assert [facts.origin for facts in cache.facts] == ["patient", "patient"]


def test_broken_file_is_listed_with_its_reason_and_the_rest_is_used(films: Path, tmp_path: Path) -> None:
    cache = _build(films, tmp_path / "cache")
    assert len(cache) == len(cache.records) == len(cache.facts) == 6
    (refused,) = cache.refused
    assert refused.file == "well/broken.png"
    assert refused.reason
    assert [record.label for record in cache.records] == ["sick"] * 3 + ["well"] * 3


def test_second_build_decodes_nothing(films: Path, tmp_path: Path, decodes: list[Path]) -> None:
    first = _build(films, tmp_path / "cache")
    assert sorted(decodes) == sorted(r.image for r in find_records(films))  # each once
    decodes.clear()
    second = _build(films, tmp_path / "cache")
    assert decodes == []
    assert second.folder == first.folder
    assert second.manifest_sha256 == first.manifest_sha256


def test_only_new_and_changed_files_are_decoded(films: Path, tmp_path: Path, png: Any, decodes: list[Path]) -> None:
    before = _build(films, tmp_path / "cache")
    decodes.clear()
    new = png(films / "sick" / "9.png", 9)
    changed = png(films / "well" / "0.png", 77)
    after = _build(films, tmp_path / "cache")
    assert set(decodes) == {new, changed}  # a refusal of the file is remembered too
    assert after.manifest_sha256 != before.manifest_sha256
    assert np.array_equal(after[0], before[0])
    assert len(after) == 7


def test_other_settings_make_another_cache(films: Path, tmp_path: Path) -> None:
    folders = {
        _build(films, tmp_path / "cache", **settings).folder
        for settings in ({}, {"size": 16}, {"fit": "pad"}, {"admit": ("patient", "phantom")})
    }
    assert len(folders) == 4


def test_result_does_not_depend_on_the_number_of_workers(films: Path, tmp_path: Path) -> None:
    one, four = (_build(films, tmp_path / f"cache{n}", workers=n) for n in (1, 4))
    assert (one.folder / "pixels.u16").read_bytes() == (four.folder / "pixels.u16").read_bytes()
    assert (one.folder / "index.jsonl").read_bytes() == (four.folder / "index.jsonl").read_bytes()


def test_progress_counts_to_the_end(films: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    _build(films, tmp_path / "cache", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 7) for done in range(1, 8)]


def test_tiles_are_read_only_views(films: Path, tmp_path: Path) -> None:
    cache = _build(films, tmp_path / "cache")
    assert cache[2].base is not None
    with pytest.raises(ValueError, match="read-only"):
        cache[2][0, 0] = 1


def test_cache_crosses_to_a_worker_process(films: Path, tmp_path: Path) -> None:
    cache = _build(films, tmp_path / "cache")
    copy = pickle.loads(pickle.dumps(cache))  # noqa: S301
    assert np.array_equal(copy.pixels, cache.pixels)


def _pixels_in(cache: PixelCache) -> dict[str, bytes]:
    return {record.shown: cache[place].tobytes() for place, record in enumerate(cache.records)}


def test_adding_a_film_writes_its_tile_behind_those_that_are_there(films: Path, tmp_path: Path, png: Any) -> None:
    before = _build(films, tmp_path / "cache")
    file, bytes_before = before.folder / "pixels.u16", (before.folder / "pixels.u16").read_bytes()
    png(films / "sick" / "00.png", 9)  # between others in the order of names
    after = _build(films, tmp_path / "cache")
    assert file.samefile(after.folder / "pixels.u16")
    assert file.read_bytes() == bytes_before + after[list(_pixels_in(after)).index("sick/00.png")].tobytes()
    assert _pixels_in(after) == _pixels_in(_build(films, tmp_path / "fresh"))
    assert after.manifest_sha256 == _build(films, tmp_path / "fresh").manifest_sha256
    assert _pixels_in(PixelCache(before.folder)) == _pixels_in(before)
    for cache in (before, after):
        cache.verify()


def test_half_a_tile_of_a_killed_run_is_passed_over(films: Path, tmp_path: Path, png: Any) -> None:
    before = _build(films, tmp_path / "cache")
    with (before.folder / "pixels.u16").open("ab") as file:
        file.write(b"x" * 100)  # of 128
    png(films / "sick" / "9.png", 9)
    after = _build(films, tmp_path / "cache")
    after.verify()
    assert _pixels_in(after) == _pixels_in(_build(films, tmp_path / "fresh"))


class _KilledError(BaseException):
    pass


def _kill_at_the_end(done: int, total: int) -> None:
    if done == total:
        raise _KilledError


def test_tiles_that_a_killed_run_added_are_not_made_again(
    films: Path, tmp_path: Path, png: Any, decodes: list[Path]
) -> None:
    _build(films, tmp_path / "cache")
    png(films / "sick" / "9.png", 9)

    with pytest.raises(_KilledError):
        _build(films, tmp_path / "cache", progress=_kill_at_the_end)
    decodes.clear()
    last = png(films / "sick" / "A.png", 10)
    after = _build(films, tmp_path / "cache")
    assert decodes == [last]
    assert (after.folder / "pixels.u16").stat().st_size == len(after) * 128
    after.verify()


@pytest.mark.parametrize("is_killed", [False, True])
def test_pixels_of_a_film_that_was_taken_away_are_in_no_later_store(
    films: Path, tmp_path: Path, png: Any, is_killed: bool
) -> None:
    before = _build(films, tmp_path / "cache")
    gone = before[1].tobytes()
    if is_killed:  # while it added the next film
        png(films / "sick" / "8.png", 8)
        with pytest.raises(_KilledError):
            _build(films, tmp_path / "cache", progress=_kill_at_the_end)
    (films / "sick" / "1.png").unlink()
    png(films / "sick" / "9.png", 9)
    after = _build(films, tmp_path / "cache")
    assert gone not in (after.folder / "pixels.u16").read_bytes()
    assert (after.folder / "pixels.u16").stat().st_size == len(after) * 128
    after.verify()


def test_disk_without_hard_links_copies(films: Path, tmp_path: Path, png: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refused)
    before = _build(films, tmp_path / "cache")
    png(films / "sick" / "9.png", 9)
    after = _build(films, tmp_path / "cache")
    assert not (before.folder / "pixels.u16").samefile(after.folder / "pixels.u16")
    after.verify()


def test_nothing_usable_tells_the_first_reasons(tmp_path: Path, png: Any) -> None:
    png(tmp_path / "films" / "flat.png", pixels=np.full((40, 40), 7, np.uint8))
    png(tmp_path / "films" / "tiny.png", pixels=np.eye(4, dtype=np.uint8))
    with pytest.raises(
        InputDataError, match=r"none of 2 images .*1 like flat\.png: constant.*1 like tiny\.png: 4x4 pixels"
    ):
        _build(tmp_path / "films", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_example_of_what_cannot_be_used_is_one_that_the_reason_is_of(tmp_path: Path, png: Any) -> None:
    png(tmp_path / "films" / "a" / "1.png", pixels=np.eye(4, dtype=np.uint8))
    for name in ("b", "c"):
        png(tmp_path / "films" / name / "1.png", pixels=np.full((40, 40), 7, np.uint8))
    with pytest.raises(InputDataError, match=r"\(2 like b/1\.png: constant.*; 1 like a/1\.png: 4x4 pixels"):
        _build(tmp_path / "films", tmp_path / "cache")


def test_phantoms_are_let_in_only_where_admitted(tmp_path: Path, dicom: Any) -> None:
    marks = {"SyntheticData": "YES", "ManufacturerModelName": "monai_xr phantom"}
    dicom(tmp_path / "films" / "1.dcm", **marks)
    with pytest.raises(InputDataError, match=r"none of 1 images .*1 like 1\.dcm: a phantom.* : .*--accept-phantoms"):
        _build(tmp_path / "films", tmp_path / "cache")
    cache = _build(tmp_path / "films", tmp_path / "cache", admit=("patient", "phantom"))
    assert cache.facts[0].origin == "phantom"


def test_file_that_went_away_is_refused(films: Path, tmp_path: Path) -> None:
    records = find_records(films)
    records[0].image.unlink()
    cache = build_store(records, size=8, folder=tmp_path / "cache")
    assert [each.file for each in cache.refused] == ["sick/0.png", "well/broken.png"]


def test_file_that_changes_while_it_is_read_is_refused(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = pixel_decoding.read_image

    def changing(path: Path, **settings: Any) -> Any:
        image = original(path, **settings)
        if path.name == "1.png":
            os.utime(path, ns=(1, 1))
        return image

    monkeypatch.setattr(pixel_decoding, "read_image", changing)
    cache = _build(films, tmp_path / "cache")
    assert [each.reason for each in cache.refused][:2] == ["changed while it was read"] * 2


def test_damaged_cache_is_made_again(films: Path, tmp_path: Path) -> None:
    cache = _build(films, tmp_path / "cache")
    wanted = (cache.folder / "pixels.u16").read_bytes()
    os.truncate(cache.folder / "pixels.u16", 100)
    assert (_build(films, tmp_path / "cache").folder / "pixels.u16").read_bytes() == wanted
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [cache.folder.name]


def test_flipped_bit_is_found_by_verify_and_not_copied_on(films: Path, tmp_path: Path, png: Any) -> None:
    cache = _build(films, tmp_path / "cache")
    with (cache.folder / "pixels.u16").open("r+b") as file:
        byte = file.read(1)[0]
        file.seek(0)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(InputDataError, match=r"cached pixels have changed : 0\.png"):
        PixelCache(cache.folder).verify()
    png(films / "sick" / "9.png", 9)
    _build(films, tmp_path / "cache").verify()


def test_index_holds_no_identifier(tmp_path: Path, dicom: Any) -> None:
    dicom(tmp_path / "films" / "1.dcm", PatientID="CANARY-1", StudyInstanceUID="1.2.3.99")
    cache = _build(tmp_path / "films", tmp_path / "cache")
    text = (cache.folder / "index.jsonl").read_text()
    assert not [word for word in ("CANARY", "ZZPHI", "1.2.3.99") if word in text]
    assert json.loads(text.splitlines()[1])["patient"] == cache.records[0].patient_id != ""


def test_no_room_tells_the_bytes_needed(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 5000})
    monkeypatch.setattr(pixel_building.shutil, "disk_usage", lambda _: usage)
    needed = 2 * 8 * 8 * 7 + 2**20
    with pytest.raises(HostError, match=rf"5,000 bytes free : cache : .* needs {needed:,} bytes"):
        _build(films, tmp_path / "cache")


def test_disk_that_fills_up_leaves_no_cache_and_loses_no_work(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decodes: list[Path]
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(HostError, match=r"No space left on device.* : cache : it needs [0-9,]+ bytes"):
            _build(films, tmp_path / "cache")
    assert [path.name[:10] for path in (tmp_path / "cache").iterdir()] == [".building-"]
    decodes.clear()
    cache = _build(films, tmp_path / "cache")
    assert decodes == []
    cache.verify()
    assert list((tmp_path / "cache").iterdir()) == [cache.folder]


def test_folder_that_is_a_file_is_host_trouble(films: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("x")
    with pytest.raises(HostError, match="pixel cache cannot be written"):
        _build(films, tmp_path / "cache")


def test_no_workers_is_refused(films: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="0 workers"):
        _build(films, tmp_path / "cache", workers=0)


def _no_locks(*_: object) -> None:
    raise OSError(95, "Operation not supported")


def _build_in_process(root: str, folder: str, start: Any, results: Any) -> None:
    start.wait()
    cache = build_store(find_records(root), size=8, folder=folder)
    results.put((cache.folder.name, cache.manifest_sha256))


@pytest.mark.parametrize("locks", [True, False])
def test_two_processes_build_one_cache(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    if not locks:
        monkeypatch.setattr(fcntl, "flock", _no_locks)
    context = multiprocessing.get_context("fork")
    start, results = context.Event(), context.Queue()
    arguments = (str(films), str(tmp_path / "cache"), start, results)
    processes = [context.Process(target=_build_in_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    start.set()
    found = [results.get(timeout=30) for _ in processes]
    for process in processes:
        process.join(30)
    assert found[0] == found[1]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [found[0][0]]


_SLOW_BUILD = """
import sys, time
from monai_xr.data.pixel_store.building import build_store
from monai_xr.data.sources.finding import find_records
def slow(done, total):
    print(done, flush=True)
    time.sleep(0.5)
build_store(find_records(sys.argv[1]), size=8, folder=sys.argv[2], progress=slow)
"""


def test_killed_build_leaves_no_cache_and_the_next_one_cleans_up(films: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW_BUILD, str(films), str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    (left,) = folder.iterdir()
    assert left.name.startswith(".building-")
    cache = _build(films, folder)
    cache.verify()
    assert list(folder.iterdir()) == [cache.folder]


def test_real_set_is_cached_at_its_own_size_without_loss(real_data: Path, tmp_path: Path) -> None:
    found = find_records(real_data / "cxr" / "kermany", split="val")
    records: Records = found.keeping(found.items[:50])
    cache = build_store(records, size=128, folder=tmp_path / "cache")
    assert len(cache) == 50
    for record, tile in zip(records, cache.pixels, strict=True):
        assert np.array_equal(np.asarray(Image.open(record.image), np.uint16) * 257, tile)  # 65535 / 255 = 257


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception]:
    """What reading a file of a name ends with; empty it and the machine is idle again."""
    trouble: dict[str, Exception] = {}
    original = pixel_decoding.read_image

    def reading(path: Path, **settings: Any) -> Any:
        if path.name in trouble:
            raise trouble[path.name]
        return original(path, **settings)

    monkeypatch.setattr(pixel_decoding, "read_image", reading)
    return trouble


@pytest.mark.parametrize("error", [PassingError("its decoding took over 20 s"), MemoryError()])
def test_refusal_of_the_machine_is_tried_again_and_that_of_a_file_is_not(
    films: Path, tmp_path: Path, busy: dict[str, Exception], decodes: list[Path], error: Exception
) -> None:
    busy["2.png"] = error
    first = _build(films, tmp_path / "cache")
    assert len(first) == 4
    decodes.clear()
    assert _build(films, tmp_path / "cache").folder == first.folder  # no better
    assert _build(films, tmp_path / "cache", retry=False).folder == first.folder
    assert {path.name for path in decodes} == {"2.png"}
    busy.clear()
    second = _build(films, tmp_path / "cache")
    assert (len(second), [each.file for each in second.refused]) == (6, ["well/broken.png"])
    assert {path.name for path in decodes} == {"2.png"}
    second.verify()
    first.verify()  # of a training that runs
    decodes.clear()
    assert _build(films, tmp_path / "cache").folder == second.folder
    assert decodes == []


def test_refusal_of_a_file_is_not_tried_again(
    films: Path, tmp_path: Path, busy: dict[str, Exception], decodes: list[Path]
) -> None:
    busy["2.png"] = InputDataError("its decoder crashed (signal 11)")
    first = _build(films, tmp_path / "cache")
    decodes.clear()
    assert _build(films, tmp_path / "cache").folder == first.folder
    assert decodes == []
