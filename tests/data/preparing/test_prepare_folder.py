"""`prepare`: right counts, splits without leaks, nothing decoded twice."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_xr.data.pixel_store.building import build_store
from monai_xr.data.pixel_store.pixel_cache import PixelCache
from monai_xr.data.sources.finding import find_records
from monai_xr.dicom.values import quiet
from monai_xr.errors import InputDataError


def test_archive_becomes_a_data_set_split_by_patient(archive: Path, tmp_path: Path, run: Any, rows: Any) -> None:
    result = run(archive, tmp_path / "out")
    table = rows(tmp_path / "out")
    assert len(table) == 24
    splits = defaultdict(set)
    for row in table:
        splits[row["patient_id"]].add(row["split"])
    assert len(splits) == 12
    assert all(len(found) == 1 for found in splits.values())
    assert {row["split"] for row in table} == {"train", "val", "test"}
    assert result.unit == "patient"
    assert {label: sum(found.values()) for label, found in result.counts().items()} == {"sick": 12, "well": 12}


def test_manifest_names_the_pixels_of_each_image(archive: Path, tmp_path: Path, run: Any, rows: Any) -> None:
    run(archive, tmp_path / "out")
    table = rows(tmp_path / "out")
    names = {path.relative_to(archive).as_posix().rsplit(".", 2)[-2] for path in archive.rglob("*.dcm")}
    assert names == {"0", "1"}
    pixels = np.fromfile(tmp_path / "out" / "pixels" / table[0]["store"] / "pixels.u16", "<u2").reshape(-1, 16, 16)
    cache = build_store(
        find_records(archive), size=16, folder=tmp_path / "other", fit="squash"
    )  # the other way to the same tiles
    assert np.array_equal(pixels[[int(row["row"]) for row in table]], cache.pixels)
    assert {row["bits"] for row in table} == {"12"}


def test_no_name_and_no_id_anywhere(archive: Path, tmp_path: Path, run: Any, rows: Any) -> None:
    (archive / "sick" / "CANARY_JANE_0" / "bad.dcm").write_bytes(
        (archive / "sick" / "CANARY_JANE_0" / "CANARYID-0.0.dcm").read_bytes()[:-300]
    )
    run(archive, tmp_path / "out")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) == 7
    for path in files:
        content = path.read_bytes()
        assert b"CANARY" not in content, path.name
        assert b"JANE" not in content, path.name
    assert {row["label"] for row in rows(tmp_path / "out")} == {"sick", "well"}


def test_folder_named_by_the_patient_is_no_class(tmp_path: Path, dicom: Any, run: Any, rows: Any) -> None:
    for patient in range(3):
        dicom(tmp_path / "in" / f"DOE_JANE{patient}" / "1.dcm", patient, PatientName=f"Doe^Jane{patient}")
    run(tmp_path / "in", tmp_path / "out")
    assert {row["label"] for row in rows(tmp_path / "out")} == {""}


def test_second_run_decodes_nothing_and_writes_the_same(
    archive: Path, tmp_path: Path, decodes: list[Path], run: Any
) -> None:
    run(archive, tmp_path / "out")
    assert len(decodes) == 24
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    decodes.clear()
    run(archive, tmp_path / "out")
    assert decodes == []
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_second_run_opens_no_dicom_file(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any
) -> None:
    run(archive, tmp_path / "out")

    def opened(path: Path) -> None:
        raise AssertionError(path)

    monkeypatch.setattr("monai_xr.data.sources.folders.read_header", opened)
    assert len(run(archive, tmp_path / "out").records) == 24


def test_new_files_alone_are_decoded_and_old_stores_removed(
    archive: Path, tmp_path: Path, decodes: list[Path], dicom: Any, run: Any, rows: Any
) -> None:
    run(archive, tmp_path / "out")
    decodes.clear()
    new = dicom(archive / "sick" / "new.dcm", 77, PatientID="NEW-1")
    run(archive, tmp_path / "out")
    assert decodes == [new]
    assert len(rows(tmp_path / "out")) == 25
    assert len(list((tmp_path / "out" / "pixels").iterdir())) == 1


def _written_bytes() -> int:
    return int(Path("/proc/self/io").read_text().split("wchar: ")[1].split()[0])


def test_adding_a_film_writes_tables_and_no_pixels_again(tmp_path: Path, dicom: Any, run: Any, rows: Any) -> None:
    for patient in range(40):
        dicom(tmp_path / "in" / f"{patient}.dcm", patient, PatientID=f"P{patient}")
    run(tmp_path / "in", tmp_path / "out", size=128)
    dicom(tmp_path / "in" / "010.dcm", 77, PatientID="NEW-1")
    before = _written_bytes()
    run(tmp_path / "in", tmp_path / "out", size=128)
    written = _written_bytes() - before
    assert written < 20 * 128 * 128 * 2  # 41 tiles are 1.3 MB; a report is 0.2 MB, lines about a film 1 kB
    table = rows(tmp_path / "out")
    fresh = run(tmp_path / "in", tmp_path / "fresh", size=128)
    pixels = np.fromfile(tmp_path / "out" / "pixels" / table[0]["store"] / "pixels.u16", "<u2").reshape(-1, 128, 128)
    assert [row["image"] for row in table] == [record.shown for record in fresh.records]
    assert np.array_equal(pixels[[int(row["row"]) for row in table]], fresh.cache.pixels)
    again = find_records(tmp_path / "out")
    assert np.array_equal(PixelCache(again.store).part(again, ("patient",)).pixels, fresh.cache.pixels)


def test_labels_written_later_win_over_what_was_remembered(archive: Path, tmp_path: Path, run: Any) -> None:
    run(archive, tmp_path / "out")
    names = sorted(path.relative_to(archive).as_posix() for path in archive.rglob("*.dcm"))
    lines = [f"{name},new,one-{place % 4}" for place, name in enumerate(names)]
    (archive / "labels.csv").write_text("\n".join(["path,label,patient_id", *lines]))
    with pytest.raises(InputDataError, match=r"ties together what was dealt to .* --resplit"):
        run(archive, tmp_path / "out")
    result = run(archive, tmp_path / "out", resplit=True)
    assert result.records.classes == ("new",)
    assert len({record.patient_id for record in result.records}) == 4


@pytest.mark.parametrize(
    ("name", "unit", "counts"),
    [
        (
            "kermany",
            "patient",
            {
                "NORMAL": {"train": 1214, "val": 134, "test": 231},
                "PNEUMONIA": {"train": 3473, "val": 385, "test": 387},
            },
        ),
        (
            "covid_radiography",
            "group",
            {
                "COVID": {"train": 2578, "val": 304, "test": 453},
                "Normal": {"train": 2700, "val": 360, "test": 540},
            },
        ),
    ],
)
def test_real_sets_give_the_counts_of_their_readme(
    real_data: Path, tmp_path: Path, run: Any, name: str, unit: str, counts: dict[str, dict[str, int]]
) -> None:
    result = run(real_data / "cxr" / name, tmp_path / "out", size=64)
    assert (result.refused, result.leaks, result.unit) == ((), (), unit)
    assert result.counts() == counts
    again = run(real_data / "cxr" / name, tmp_path / "out", size=64, resplit=True)
    assert (again.leaks, again.unit) == ((), unit)
    for label, given in counts.items():
        made = again.counts()[label]
        assert sum(made.values()) == sum(given.values())
        assert made["train"] / sum(given.values()) == pytest.approx(0.7, abs=0.01)
        assert made["test"] / sum(given.values()) == pytest.approx(0.2, abs=0.01)


def test_real_dicom_files(real_data: Path, tmp_path: Path, run: Any) -> None:
    result = run(real_data / "dicom", tmp_path / "out", size=64, decode="isolated", accept_non_chest=True)
    assert len(result.records) == 15
    reasons = sorted(each.reason.split()[-1] for each in result.refused)
    # the same film relabelled keeps its UID; "luts" is no class, since the patient there is called "VOI LUT Test"
    assert reasons == ["one", "one", "pixels"]
    assert [each.file.split("/")[1] for each in result.skipped] == ["OT-PAL-8-face.dcm"]
    by_patient = defaultdict(set)
    for record in result.records:
        by_patient[record.patient_id].add(record.split)
    assert all(len(splits) == 1 for splits in by_patient.values())


def test_given_splits_are_kept_unless_new_ones_are_asked_for(tmp_path: Path, png: Any, run: Any) -> None:
    lines = []
    for index in range(20):
        png(tmp_path / "in" / f"{index}.png", index)
        lines.append(f"{index}.png,x,P{index},{'test' if index < 10 else 'train'}")
    (tmp_path / "in" / "manifest.csv").write_text("\n".join(["image,label,patient_id,split", *lines]))
    assert run(tmp_path / "in", tmp_path / "out").counts() == {"x": {"train": 10, "test": 10}}
    made = run(tmp_path / "in", tmp_path / "out", resplit=True).counts()
    assert made == {"x": {"train": 14, "val": 2, "test": 4}}


def test_images_without_patient_are_refused_before_any_decoding(
    tmp_path: Path, png: Any, decodes: list[Path], run: Any, report: Any
) -> None:
    for index in range(10):
        png(tmp_path / "in" / "sick" / f"{index}.png", index)
    with pytest.raises(InputDataError, match=r"10 of 10 images without patient_id and group_id.*--no-patients"):
        run(tmp_path / "in", tmp_path / "out")
    assert decodes == []
    assert not (tmp_path / "out").exists()
    result = run(tmp_path / "in", tmp_path / "out", no_patients=True)
    assert any("patients of some images unknown" in note for note in result.notes)
    assert report(tmp_path / "out")["error"] == ""


def test_some_images_without_split_are_refused(tmp_path: Path, png: Any, run: Any) -> None:
    for index in range(3):
        png(tmp_path / "in" / f"{index}.png", index)
    (tmp_path / "in" / "manifest.csv").write_text(
        "image,label,patient_id,split\n0.png,x,A,train\n1.png,x,B,\n2.png,x,C,test\n"
    )
    with pytest.raises(InputDataError, match=r"1 of 3 images without split, such as 1\.png .*--resplit"):
        run(tmp_path / "in", tmp_path / "out")


def test_group_in_two_splits_is_refused(tmp_path: Path, png: Any, run: Any) -> None:
    for index in range(2):
        png(tmp_path / "in" / f"{index}.png", index)
    (tmp_path / "in" / "manifest.csv").write_text(
        "image,label,patient_id,split,group_id\n0.png,x,,train,G\n1.png,x,,test,G\n"
    )
    with pytest.raises(InputDataError, match="one group is in the splits test and train"):
        run(tmp_path / "in", tmp_path / "out")


def test_class_of_one_patient_and_class_without_usable_image_are_told(tmp_path: Path, png: Any, run: Any) -> None:
    lines = []
    for index in range(12):
        png(tmp_path / "in" / f"{index}.png", index)
        lines.append(f"{index}.png,{'rare' if index == 0 else 'none' if index == 1 else 'x'},P{index},")
    png(tmp_path / "in" / "1.png", pixels=np.zeros((40, 40), np.uint8))
    (tmp_path / "in" / "manifest.csv").write_text("\n".join(["image,label,patient_id,split", *lines]))
    result = run(tmp_path / "in", tmp_path / "out")
    assert "class none has no usable image" in result.notes
    assert any(note.startswith("class rare has no image in") for note in result.notes)
    assert [(each.file, each.reason) for each in result.refused] == [("1.png", "constant image, all pixels equal")]


def test_prepared_png_keeps_its_levels(tmp_path: Path, run: Any) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    (tmp_path / "in").mkdir()
    Image.fromarray(levels).save(tmp_path / "in" / "a.png")
    result = run(tmp_path / "in", tmp_path / "out", no_patients=True, fractions={"train": 1.0})
    assert result.cache is not None
    assert np.array_equal(result.cache[0], levels.astype(np.uint16) * 257)


def test_films_with_one_word_for_their_instance_are_no_copies(tmp_path: Path, dicom: Any, run: Any) -> None:
    with quiet():
        for number in range(10):
            path = tmp_path / "in" / ("sick", "well")[number % 2] / f"{number}.dcm"
            dicom(path, number, SOPInstanceUID="ANONYMOUS", StudyInstanceUID=f"{number:012x}")
    result = run(tmp_path / "in", tmp_path / "out")
    assert len(result.records) == 10
    assert not result.refused
