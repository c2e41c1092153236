"""`prepare`: one line for everything that is wrong, nothing half-written."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from monai_xr.data.pixel_store import journal as pixel_journal
from monai_xr.data.pixel_store import tile_making as pixel_decoding
from monai_xr.data.preparing import parse_fractions
from monai_xr.data.preparing import prepare_folder as preparing
from monai_xr.data.preparing.output_folder import alone_in
from monai_xr.data.sources import folders
from monai_xr.dicom.sandbox import isolated_reading as isolation
from monai_xr.errors import ConfigurationError, HostError, InputDataError


def test_every_bad_file_is_one_line_and_the_rest_is_used(
    archive: Path, tmp_path: Path, dicom: Any, run: Any, report: Any
) -> None:
    good = (archive / "sick" / "CANARY_JANE_0" / "CANARYID-0.0.dcm").read_bytes()
    (archive / "cut.dcm").write_bytes(good[:-500])
    (archive / "empty.dcm").write_bytes(b"")
    (archive / "page.dcm").write_text("<html>")
    (archive / "Röntgen ☢ 放射.dcm").write_bytes(good.replace(b"CANARYID-0", b"CANARYID-X"))
    (archive / "loop").symlink_to(archive)
    dicom(archive / "huge.dcm", 1, Rows=65535, Columns=65535)
    os.mkfifo(archive / "pipe.dcm")
    result = run(archive, tmp_path / "out")
    told = {each.file: each.reason for each in (*result.refused, *result.skipped)}
    assert told["empty.dcm"] == "empty"
    assert told["page.dcm"] == "HTML"
    assert told["loop"] == "link to a folder, not followed"
    assert told["pipe.dcm"] == "not a regular file"
    assert {"cut.dcm", "huge.dcm"} <= set(told)
    assert all(reason and "\n" not in reason for reason in told.values())
    names = {each["file"] for part in ("refused", "skipped") for each in report(tmp_path / "out")[part]}
    assert names == set(told)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folder_that_cannot_be_read_is_listed(archive: Path, tmp_path: Path, run: Any) -> None:
    (archive / "shut").mkdir(mode=0)
    result = run(archive, tmp_path / "out")
    assert ("shut", "folder that cannot be read") in {(each.file, each.reason) for each in result.skipped}


def test_folder_that_cannot_be_listed_is_one_line(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any
) -> None:
    (archive / "shut").mkdir()
    scan = os.scandir

    def refusing(path: Any) -> Any:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr("monai_xr.data.files.file_kinds.os.scandir", refusing)
    result = run(archive, tmp_path / "out")
    assert ("shut", "folder that cannot be read") in {(each.file, each.reason) for each in result.skipped}
    assert len(result.records) == 24


def test_empty_tree(tmp_path: Path, run: Any) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(InputDataError, match=r"no PNG/JPEG/DICOM image \(0 files seen\)"):
        run(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_set_of_which_nothing_is_left_tells_why_in_the_line_and_in_the_report(
    tmp_path: Path, dicom: Any, run: Any
) -> None:
    for place in range(3):
        dicom(tmp_path / "in" / f"{place}.dcm", place, BodyPartExamined="HIP")
    with pytest.raises(InputDataError, match=r"no image is left: 3 .*report.html in the output folder names them"):
        run(tmp_path / "in", tmp_path / "out")
    refused = json.loads((tmp_path / "out" / "report.json").read_text())["refused"]
    assert sorted(each["file"] for each in refused) == ["0.dcm", "1.dcm", "2.dcm"]


def test_labels_of_files_that_do_not_exist(archive: Path, tmp_path: Path, run: Any) -> None:
    (archive / "labels.csv").write_text("path,label\ngone.dcm,sick\n")
    with pytest.raises(InputDataError, match="none of its 1 rows names a file here"):
        run(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_without_label_where_others_have_one(tmp_path: Path, dicom: Any, run: Any) -> None:
    lines = ["path,label"]
    for patient in range(6):
        dicom(tmp_path / "in" / f"{patient}.dcm", patient)
        lines += [f"{patient}.dcm,x"] if patient else []
    (tmp_path / "in" / "labels.csv").write_text("\n".join(lines))
    result = run(tmp_path / "in", tmp_path / "out")
    assert [(each.file, each.reason) for each in result.refused] == [("0.dcm", "no label, others have one")]
    with pytest.raises(InputDataError, match="1 files refused, 0 allowed"):
        run(tmp_path / "in", tmp_path / "other", max_bad=0)
    assert not (tmp_path / "other" / "manifest.csv").exists()
    assert len(run(tmp_path / "in", tmp_path / "other", max_bad=1).records) == 5


def test_films_of_which_findings_are_known_stay_without_a_class(
    tmp_path: Path, dicom: Any, run: Any, rows: Any
) -> None:
    votes = "a,R1,1,0\na,R2,1,0\na,R3,1,0\nb,R1,0,1\nb,R2,0,0\nb,R3,0,0\n"  # one of three saw something in b
    (tmp_path / "in" / "annotations").mkdir(parents=True)
    for split, text in (("train", votes), ("test", "c,0,1\n")):
        header = f"image_id,{'rad_id,' * (split == 'train')}Aortic enlargement,Cardiomegaly\n"
        (tmp_path / "in" / "annotations" / f"image_labels_{split}.csv").write_text(header + text)
    for place, name in enumerate(("train/a", "train/b", "test/c")):
        dicom(tmp_path / "in" / f"{name}.dicom", place)
    assert not run(tmp_path / "in", tmp_path / "out", no_patients=True).refused
    assert {(each["label"], each["absent"]) for each in rows(tmp_path / "out")} == {
        ("aortic_enlargement", "cardiomegaly"),
        ("", "aortic_enlargement"),
        ("cardiomegaly", "aortic_enlargement"),
    }


def test_disk_that_fills_up_is_told_and_the_work_goes_on_later(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decodes: list[Path], run: Any, same_store: Any
) -> None:
    write = pixel_journal._write
    room = [40]  # writes

    def limited(handle: int, data: bytes) -> None:
        room[0] -= 1
        if room[0] < 0:
            os.write(handle, data[:7])
            raise OSError(28, "No space left on device")
        write(handle, data)

    with monkeypatch.context() as patch:
        patch.setattr(pixel_journal, "_write", limited)
        with pytest.raises(HostError, match=r"No space left on device.*needs [0-9,]+ bytes"):
            run(archive, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.csv").exists()
    done = len(decodes)
    decodes.clear()
    run(archive, tmp_path / "out")
    assert len(decodes) <= 24 - 19  # a header, then two writes for each of 19 films
    assert done >= 19
    run(archive, tmp_path / "fresh")
    same_store(tmp_path / "out", tmp_path / "fresh")


def test_output_inside_the_source_and_the_other_way_round(archive: Path, run: Any) -> None:
    for out in (archive / "out", archive, archive.parent):
        with pytest.raises(ConfigurationError, match="source and output lie in each other"):
            run(archive, out)


def test_prepared_data_set_is_no_source(archive: Path, tmp_path: Path, run: Any) -> None:
    run(archive, tmp_path / "out")
    with pytest.raises(ConfigurationError, match="this is a prepared data set : out"):
        run(tmp_path / "out", tmp_path / "again")


def test_folder_in_use_is_not_touched(archive: Path, tmp_path: Path, run: Any) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    with pytest.raises(ConfigurationError, match="folder is in use : out"):
        run(archive, tmp_path / "out")


def test_other_settings_need_overwrite(archive: Path, tmp_path: Path, run: Any, rows: Any) -> None:
    run(archive, tmp_path / "out")
    with pytest.raises(ConfigurationError, match="prepared before with another size and fit : out"):
        run(archive, tmp_path / "out", size=32, fit="pad")
    run(archive, tmp_path / "out", size=32, fit="pad", overwrite=True)
    assert {row["store"][:4] for row in rows(tmp_path / "out")} == {"32px"}


def test_second_process_is_refused(archive: Path, tmp_path: Path, run: Any) -> None:
    with (
        alone_in(tmp_path / "out"),
        pytest.raises(ConfigurationError, match="another process prepares this folder"),
    ):
        run(archive, tmp_path / "out")


def test_source_that_is_not_there(tmp_path: Path, run: Any) -> None:
    with pytest.raises(ConfigurationError, match="source folder does not exist : gone"):
        run(tmp_path / "gone", tmp_path / "out")


def test_shares_are_three_numbers() -> None:
    assert parse_fractions("0.8, 0.1, 0.1") == {"train": 0.8, "val": 0.1, "test": 0.1}
    with pytest.raises(ConfigurationError, match="three numbers"):
        parse_fractions("0.8,0.2")


def test_child_that_was_killed_costs_no_film(archive: Path, tmp_path: Path, run: Any) -> None:
    run(archive, tmp_path / "first", decode="isolated")
    for worker in isolation._pool(os.getpid())._idle:
        worker._process.kill()
        worker._process.wait()
    result = run(archive, tmp_path / "second", decode="isolated")
    assert (len(result.records), result.refused) == (24, ())


def test_film_whose_decoder_dies_is_one_line(
    archive: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = pixel_decoding.read_image

    def dying(path: Path, **settings: Any) -> Any:
        if path.name.endswith("-3.1.dcm"):
            raise InputDataError("its decoder crashed (signal 11)", path)
        return original(path, **settings)

    monkeypatch.setattr(pixel_decoding, "read_image", dying)
    result = run(archive, tmp_path / "out")
    assert [each.reason for each in result.refused] == ["its decoder crashed (signal 11)"]
    assert len(result.records) == 23


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"size": 4}, "image size 4"),
        ({"fit": "stretch"}, "unknown fit"),
        ({"workers": 0}, "0 workers"),
        ({"decode": "quick"}, "unknown way to decode"),
        ({"seed": -1}, "seed -1"),
        ({"fractions": {"train": 0.9, "val": 0.2, "test": 0.2}}, "add up to 1"),
        ({"max_bad": -1}, "-1 refused files"),
    ],
)
def test_settings_are_refused_before_any_file_is_looked_at(
    archive: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], told: str
) -> None:
    def looking(*_: Any, **__: Any) -> None:
        raise AssertionError("a file was looked at")

    monkeypatch.setattr(preparing, "read_folder", looking)
    with pytest.raises(ConfigurationError, match=told):
        run(archive, tmp_path / "set", **settings)
    assert not (tmp_path / "set").exists()


def test_film_that_vanishes_during_the_walk_of_a_second_run_is_skipped(
    archive: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(archive, tmp_path / "set")
    gone = sorted(path for path in archive.rglob("*") if path.is_file())[0]
    walk = folders.files_under

    def walking(root: Path) -> Any:
        for file, kind in walk(root):
            if root / file == gone:
                gone.unlink()
            yield file, kind

    monkeypatch.setattr(folders, "files_under", walking)
    second = run(archive, tmp_path / "set")
    assert len(second.records) == len(first.records) - 1
    assert "No such file" in second.skipped[0].reason
