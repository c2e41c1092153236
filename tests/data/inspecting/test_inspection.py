"""`inspect_folder`: everything is counted, what may be wrong is flagged, nobody is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from monai_xr.data.inspecting import Inspection, inspect_folder
from monai_xr.data.inspecting.faults import (
    BURNED_IN,
    BURNED_IN_UNKNOWN,
    DUPLICATE,
    NO_PATIENT,
    POLARITY,
    UNREADABLE,
    UNUSABLE,
)
from monai_xr.dicom import read_xray
from monai_xr.errors import ConfigurationError, InputDataError

SHOWN = {"WindowCenter": 2048, "WindowWidth": 4096, "PixelSpacing": [0.2, 0.2]}
GOOD = {"BodyPartExamined": "CHEST", "ViewPosition": "PA", "BurnedInAnnotation": "NO", **SHOWN}


def _chest(side: int = 64) -> np.ndarray:
    """A bright mediastinum between dark lungs in a grey body, and some texture."""
    film = np.full((side, side), 2000) + np.random.default_rng(0).integers(0, 50, (side, side))
    film[10:44, 8:26] -= 1200
    film[10:44, 38:56] -= 1200
    film[10:60, 28:36] += 800
    return film.astype(np.uint16)


def _problems(result: Inspection) -> dict[str, tuple[str, ...]]:
    return {film.file: film.problems for film in result.films}


@pytest.mark.parametrize(
    ("tags", "problems"),
    [
        ({}, ()),
        ({"PatientID": ""}, (NO_PATIENT,)),
        ({"BodyPartExamined": "KNEE"}, ("not a chest radiograph by its body part",)),
        ({"Modality": "CT"}, ("not a chest radiograph by its modality",)),
        ({"BodyPartExamined": None}, ()),
        ({"ViewPosition": "LL"}, ("not a frontal view by its tags",)),
        ({"BurnedInAnnotation": "YES"}, (BURNED_IN,)),
        ({"BurnedInAnnotation": None}, (BURNED_IN_UNKNOWN,)),
        ({"PhotometricInterpretation": "MONOCHROME1"}, (POLARITY,)),  # shows this film with dark bone
        ({"PresentationLUTShape": "INVERSE"}, (POLARITY,)),  # against MONOCHROME2, PS3.3 C.11.6
    ],
)
def test_problems_of_a_dicom_film(
    tmp_path: Path, dicom: Any, tags: dict[str, object], problems: tuple[str, ...]
) -> None:
    dicom(tmp_path / "1.dcm", pixels=_chest(), **(GOOD | tags))
    assert _problems(inspect_folder(tmp_path)) == {"1.dcm": problems}


def test_facts_of_a_dicom_film(tmp_path: Path, dicom: Any) -> None:
    tags = {"WindowCenter": 2048, "WindowWidth": 4096, "PixelSpacing": [0.2, 0.1], "Manufacturer": "ACME"}
    dicom(tmp_path / "1.dcm", pixels=_chest()[:, :48], PatientOrientation=["L", "F"], **(GOOD | tags))
    (film,) = inspect_folder(tmp_path).films
    assert (film.kind, film.modality, film.photometric) == ("DICOM", "CR", "MONOCHROME2")
    assert film.transfer_syntax == "Explicit VR Little Endian"
    assert (film.columns, film.rows, film.bits, film.window) == (48, 64, 12, "2048/4096")
    assert (film.spacing_mm, film.view, film.orientation) == ((0.2, 0.1), "PA", "L\\F")
    assert (film.body_part, film.equipment, film.origin) == ("CHEST", "ACME", "patient")


@pytest.mark.parametrize(
    ("center", "width", "told"),
    [
        (["", "2048"], ["400", "4096"], "2048/4096"),  # value n goes with value n
        (["40", "2048"], ["0", "4096"], "2048/4096"),  # a width of 0 is no window
        (["900", "1000"], ["0.5", "2000"], "1000/2000"),  # LINEAR allows no width below 1
        (["2048"], ["0"], ""),
        ("2048", "", ""),
    ],
)
def test_the_window_told_is_the_one_that_shows_it(
    tmp_path: Path, dicom: Any, center: Any, width: Any, told: str
) -> None:
    tags = {**GOOD, "WindowCenter": center, "WindowWidth": width, "VOILUTSequence": [Dataset()]}
    path = dicom(tmp_path / "1.dcm", **tags)
    (film,) = inspect_folder(tmp_path).films
    assert film.window == told
    step = f"window {told} LINEAR"
    assert (step in read_xray(path).provenance) == bool(told)
    assert ("no window" in film.problems) == (not told)


def test_unreadable_and_unusable_films_have_their_reason(tmp_path: Path, png: Any, dicom: Any) -> None:
    whole = png(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:300])
    png(tmp_path / "flat.png", pixels=np.full((40, 40), 9, np.uint8))
    dicom(tmp_path / "short.dcm", PixelData=b"\0" * 10, **GOOD)
    result = inspect_folder(tmp_path)
    reasons = {film.file: (film.problems[-1], bool(film.reason)) for film in result.films}
    assert reasons["cut.png"] == reasons["short.dcm"] == (UNREADABLE, True)
    assert reasons["flat.png"] == (UNUSABLE, True)
    assert next(film for film in result.films if film.file == "short.dcm").modality == "CR"


def test_same_pixels_in_two_files_are_duplicates(tmp_path: Path, png: Any, dicom: Any) -> None:
    dicom(tmp_path / "a.dcm", seed=1)
    dicom(tmp_path / "b.dcm", seed=1, PatientID="another")
    dicom(tmp_path / "c.dcm", seed=2)
    result = inspect_folder(tmp_path)
    assert result.duplicates == (("a.dcm", "b.dcm"),)
    assert [DUPLICATE in film.problems for film in result.films] == [True, True, False]


def test_mixed_sources_and_other_files_are_told(tmp_path: Path, png: Any, dicom: Any) -> None:
    dicom(tmp_path / "a.dcm")
    png(tmp_path / "b.png")
    (tmp_path / "readme").write_text("words")
    result = inspect_folder(tmp_path)
    assert "mixed sources: 2 values of kind (DICOM 1, PNG 1)" in result.notes
    assert [(each.file, each.reason) for each in result.others] == [("readme", "text")]
    assert result.counts()["kind"] == {"DICOM": 1, "PNG": 1}


def test_patients_of_a_manifest_count(tmp_path: Path, png: Any) -> None:
    png(tmp_path / "1.png", 1)
    png(tmp_path / "2.png", 2)
    (tmp_path / "manifest.csv").write_text("image,label,patient_id,split\n1.png,x,P1,\n2.png,x,,\n")
    result = inspect_folder(tmp_path)
    assert [NO_PATIENT in film.problems for film in result.films] == [False, True]
    assert result.data_set["images_by_class"] == {"x": 2}
    assert result.others == ()


def test_folder_that_cannot_be_trained_on_says_why(tmp_path: Path, png: Any) -> None:
    png(tmp_path / "1.png")
    (tmp_path / "manifest.csv").write_text("image,label,patient_id,split\ngone.png,x,P1,\n")
    assert "none of the 1 files is there" in inspect_folder(tmp_path).data_set["not usable for training"]


def test_no_identifier_in_tables_or_json(tmp_path: Path, dicom: Any) -> None:
    dicom(tmp_path / "1.dcm", PatientID="CANARY-1", PatientBirthDate="19010203")
    result = inspect_folder(tmp_path)
    text = result.to_json() + str(result.tables()) + str(result)
    assert not [word for word in ("CANARY", "ZZPHI", "19010203") if word in text]
    assert len(result.films[0].patient) == 16


def test_tables_are_rows_of_text_as_wide_as_their_header(tmp_path: Path, png: Any, dicom: Any) -> None:
    dicom(tmp_path / "a.dcm", **GOOD)
    for index in range(5):
        png(tmp_path / f"{index}.png", index)
    (tmp_path / "two\nlines").write_text("x")
    tables = inspect_folder(tmp_path).tables(most_films=3)
    cells = [cell for table in tables for row in table.rows for cell in row]
    assert all(len(row) == len(table.columns) for table in tables for row in table.rows)
    assert all(isinstance(cell, str) and "\n" not in cell for cell in cells)
    assert "Films: the first 3 of 6" in [table.title for table in tables]


def test_json_is_whole(tmp_path: Path, png: Any) -> None:
    png(tmp_path / "é.png")
    content = json.loads(inspect_folder(tmp_path).to_json())
    assert [film["file"] for film in content["films"]] == ["é.png"]
    assert content["counts"]["size"] == {"32x40": 1}


def test_contact_sheet_shows_each_film(tmp_path: Path, png: Any) -> None:
    for index in range(9):
        png(tmp_path / "films" / f"{index}.png", pixels=_chest().astype(np.uint16) * 16)
    result = inspect_folder(tmp_path / "films")
    result.write_contact_sheet(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (8 * 134 + 6, 2 * 150 + 6)  # two rows of eight, 128 px each with gap and caption
        assert np.asarray(sheet)[10:120, 10:120].std() > 10
    assert [path.name for path in tmp_path.glob("*.part")] == []


def test_contact_sheet_is_spread_over_the_folder(tmp_path: Path, png: Any) -> None:
    for index in range(7):
        png(tmp_path / f"{index}.png", index)
    assert sorted(inspect_folder(tmp_path, most_thumbnails=3).thumbnails) == [0, 3, 6]


def test_empty_folder_is_told_and_has_no_sheet(tmp_path: Path) -> None:
    result = inspect_folder(tmp_path)
    assert result.films == ()
    assert "0 files seen" in result.data_set["not usable for training"]
    with pytest.raises(InputDataError, match="no film to show"):
        result.write_contact_sheet(tmp_path / "sheet.png")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="folder does not exist : nowhere"):
        inspect_folder(tmp_path / "nowhere")


def test_progress_counts_images(tmp_path: Path, png: Any) -> None:
    for index in range(3):
        png(tmp_path / f"{index}.png", index)
    seen: list[tuple[int, int]] = []
    inspect_folder(tmp_path, progress=lambda *state: seen.append(state))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_real_dicom_films(real_data: Path) -> None:
    result = inspect_folder(real_data / "dicom")
    problems = result.problems()
    assert problems[POLARITY] == ["chest/rsna_jpeg_relabelled_mono1.dcm"]
    others = {file for name, files in problems.items() if name.startswith("not a chest") for file in files}
    assert len([file for file in others if file.startswith("not_chest/")]) == 12
    assert not [file for file in others if file.startswith("chest/")]
    assert ("not_chest/RG2_hip_J2KR.dcm", "not_chest/RG2_hip_JPLL.dcm") in result.duplicates  # both lossless
