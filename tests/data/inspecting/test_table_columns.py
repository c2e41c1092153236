"""What `inspect` tells of a folder that has a table, of one that lacks most facts, and of generated images."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from monai_xr.data.inspecting import Inspection, inspect_folder
from monai_xr.data.phantoms import make_phantom
from monai_xr.handlers.synthetic_writer import SyntheticWriter


def as_data_set(found: Inspection) -> dict[str, str]:
    table = next(each for each in found.tables() if each.title == "As a data set")
    return {row[0]: row[1] for row in table.rows}


def test_splits_and_columns_of_a_manifest_are_told(tmp_path: Path, png: Any) -> None:
    rows = []
    for index in range(12):
        png(tmp_path / f"{index}.png", index)
        split = ("train", "test")[index // 8]
        rows.append(f"{index}.png,x,P{index},{split},{'PA' if index < 5 else 'AP'},{20 + index if index < 9 else ''}")
    (tmp_path / "manifest.csv").write_text("image,label,patient_id,split,view,age\n" + "\n".join(rows))
    told = as_data_set(inspect_folder(tmp_path))
    assert told["splits"] == "train 8, test 4"
    assert told["view"] == "AP 7, PA 5"
    assert told["age"] == "9 values, in 9 of 12 rows"  # the age of one patient is nobody's business


def test_facts_are_told_in_words_and_columns_by_their_own_names(tmp_path: Path, png: Any) -> None:
    png(tmp_path / "1.png")
    (tmp_path / "manifest.csv").write_text("image,label,patient_id,tube_kv\n1.png,x,P1,90\n")
    told = as_data_set(inspect_folder(tmp_path))
    assert (told["films per class"], told["tube_kv"]) == ("x 1", "1 values")
    assert [name for name in told if "_" in name] == ["tube_kv"]


def test_folder_without_splits_says_when_they_come(tmp_path: Path, png: Any) -> None:
    png(tmp_path / "x" / "1.png")
    told = as_data_set(inspect_folder(tmp_path))["splits"]
    assert told == "none yet, 1 of 1 films name no patient: --no_patients true splits them one by one"
    (tmp_path / "manifest.csv").write_text("image,label,patient_id\nx/1.png,x,P1\n")
    assert "dealt by patient at the first training" in as_data_set(inspect_folder(tmp_path))["splits"]


def test_what_no_film_has_takes_no_row_and_no_column(tmp_path: Path, png: Any) -> None:
    png(tmp_path / "1.png")
    tables = {table.title: table for table in inspect_folder(tmp_path).tables()}
    assert [row[0] for row in tables["1 films"].rows] == ["kind", "bits", "origin", "size"]
    assert "modality" not in tables["Films"].columns
    assert "-" not in {cell for table in tables.values() for row in table.rows for cell in row}


def test_row_without_file_is_told_by_its_line(tmp_path: Path, png: Any) -> None:
    png(tmp_path / "1.png")
    (tmp_path / "manifest.csv").write_text("image,label,patient_id\n1.png,x,P1\ngone.png,x,P2\n")
    assert "skipped manifest.csv line 3: names no file here" in inspect_folder(tmp_path).notes


def test_what_a_training_would_not_use_is_told(tmp_path: Path, png: Any, dicom: Any) -> None:
    dicom(tmp_path / "1.dcm")
    damaged = dicom(tmp_path / "2.dcm")
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    png(tmp_path / "more" / "1.png")
    (tmp_path / "more" / "labels.csv").write_text("path,label\n1.png,x\n")
    found = inspect_folder(tmp_path)
    assert as_data_set(found)["films that cannot be read"] == "1"
    assert "1 PNG image is not used beside DICOM films: give them a folder of their own" in found.notes
    assert "more/labels.csv is not used: a table counts in the folder that is named" in found.notes


def test_images_that_the_table_does_not_name_are_told(tmp_path: Path, png: Any) -> None:
    for index in range(3):
        png(tmp_path / f"{index}.png", index)
    (tmp_path / "manifest.csv").write_text("image,label,patient_id\n1.png,x,P1\n")
    assert "2 PNG images are not used: manifest.csv does not name them" in inspect_folder(tmp_path).notes


def test_column_that_names_the_file_is_not_told(tmp_path: Path, png: Any) -> None:
    png(tmp_path / "1.png")
    (tmp_path / "labels.csv").write_text("path,label\n1.png,x\n")
    assert "path" not in as_data_set(inspect_folder(tmp_path))


def test_images_of_ones_own_generator_are_nothing_odd(tmp_path: Path) -> None:
    images = [torch.from_numpy(1 - make_phantom(seed, "NORMAL", size=64).pixels)[None] for seed in range(3)]
    writer = SyntheticWriter(tmp_path / "made", {"model_hash": "ab", "run_id": "r", "seed": "0"})
    batch = [{"index": index, "label": "NORMAL"} for index in range(3)]
    writer.write(SimpleNamespace(state=SimpleNamespace(batch=batch, output=[{"pred": each} for each in images])))
    writer.finish()
    found = inspect_folder(tmp_path / "made")
    assert found.findings() == ()
    assert found.notes == ("6 images were generated: training material, which nothing here takes for films",)


def test_classes_that_may_be_one_are_told(tmp_path: Path, png: Any) -> None:
    for place, label in enumerate(("PNEUMONIA", "PNEUMONA", "normal", "NORMAL", "grade 1", "grade 2")):
        png(tmp_path / label / f"{place}.png", place)
    told = [note for note in inspect_folder(tmp_path).notes if note.startswith("classes")]
    assert sorted(told) == [
        "classes NORMAL and normal differ by little: is one of them meant?",
        "classes PNEUMONA and PNEUMONIA differ by little: is one of them meant?",
    ]


def test_films_without_label_among_labelled_ones_are_counted(tmp_path: Path, png: Any) -> None:
    for place in range(3):
        png(tmp_path / f"{place}.png", place)
    (tmp_path / "manifest.csv").write_text("image,label,patient_id\n0.png,A,P0\n1.png,,P1\n2.png,B,P2\n")
    found = inspect_folder(tmp_path)
    assert "1 films have no label, others have one: trainings on a split leave them out" in found.notes
    assert (found.is_usable, found.training_flags) == (True, ())


def test_training_on_films_of_unknown_patients_needs_a_flag(tmp_path: Path, png: Any) -> None:
    png(tmp_path / "A" / "1.png")
    found = inspect_folder(tmp_path)
    assert (found.is_usable, found.training_flags) == (True, ("--no_patients",))
    (tmp_path / "A" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert not inspect_folder(tmp_path).is_usable


def test_a_table_that_is_wrong_is_named_with_the_way_out(tmp_path: Path, png: Any) -> None:
    png(tmp_path / "1.png")
    (tmp_path / "manifest.csv").write_text("image,label,patient_id\n1.png\n")
    told = as_data_set(inspect_folder(tmp_path))["not usable for training"]
    assert told.startswith("line 2 has 1 fields, the header 3 : manifest.csv : ")
