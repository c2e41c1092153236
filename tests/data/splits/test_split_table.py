"""The one table of splits of a data folder: dealt once, added to, never dealt anew by itself."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from monai_xr.data.identifiers import hashed
from monai_xr.data.preparing import split_folder
from monai_xr.data.records import Records
from monai_xr.data.sources.finding import find_records
from monai_xr.data.splits.split_table import SPLITS_FILE
from monai_xr.errors import ConfigurationError, InputDataError

SIDES = ("train", "val", "test")


@pytest.fixture
def folder(tmp_path: Path, dicom: Any) -> Path:
    """Forty patients in two classes."""
    root = tmp_path / "films"
    for patient in range(40):
        dicom(root / ("sick", "well")[patient % 2] / f"{patient}.dcm", patient)
    return root


def _sides(root: Path, seed: int | None = None) -> dict[str, str]:
    if seed is not None:
        split_folder(root, seed=seed)
    return {r.image.name: split for split in SIDES for r in find_records(root, split=split)}


def test_more_films_move_nobody(folder: Path, dicom: Any) -> None:
    before = _sides(folder, seed=1)
    assert sorted(before.values()).count("train") == 28  # 0.7 of 40
    for patient in range(40, 60):
        dicom(folder / "sick" / f"{patient}.dcm", patient)
    dicom(folder / "well" / "again.dcm", seed=99, PatientID="P3")
    after = _sides(folder)
    assert {name: after[name] for name in before} == before
    assert len(after) == 61
    assert after["again.dcm"] == before["3.dcm"]
    assert set(after.values()) == set(SIDES)


def test_classes_do_not_change_the_deal(folder: Path) -> None:
    of_class = {r.image.name for r in find_records(folder, split="test", classes="sick")}
    assert of_class == {name for name, split in _sides(folder).items() if split == "test" and int(name[:-4]) % 2 == 0}


def test_images_without_split_asked_for_have_the_split_of_the_table(folder: Path, dicom: Any) -> None:
    assert find_records(folder).splits == ()
    assert not (folder / SPLITS_FILE).exists()
    before = _sides(folder)
    dicom(folder / "sick" / "new.dcm", seed=99)
    assert {r.image.name: r.split for r in find_records(folder)} == {**before, "new.dcm": ""}


def test_table_holds_hashes_seed_and_rule_and_no_id(folder: Path) -> None:
    _sides(folder, seed=5)
    content = json.loads((folder / SPLITS_FILE).read_text())
    assert (content["seed"], content["rule"], content["version"]) == (5, "dealt by patient", 1)
    assert set(content["split_of"].values()) == set(SIDES)
    assert f"patient/{hashed('P1')}" in content["split_of"]
    assert '"P1"' not in (folder / SPLITS_FILE).read_text()


def test_new_film_that_ties_two_dealt_patients_of_two_splits_is_refused(tmp_path: Path, png: Any) -> None:
    rows = []
    for index in range(20):
        png(tmp_path / f"{index}.png", index)
        rows.append(f"{index}.png,x,P{index},,G")
    (tmp_path / "manifest.csv").write_text("\n".join(["image,label,patient_id,split,group_id", *rows]))
    assert set(_sides(tmp_path).values()) == set(SIDES)
    png(tmp_path / "loose.png", 99)
    (tmp_path / "manifest.csv").write_text(
        "\n".join(["image,label,patient_id,split,group_id", *rows, "loose.png,x,,,G"])
    )
    with pytest.raises(InputDataError, match=r"ties together what was dealt to test and train and val.*--resplit"):
        find_records(tmp_path, split="train")


def test_film_whose_patient_is_corrected_follows_its_study(folder: Path, dicom: Any) -> None:
    split = _sides(folder)["4.dcm"]
    (folder / "labels.csv").write_text(
        "path,label,patient_id\n" + "".join(f"{p.relative_to(folder)},x,{'CORRECTED' if p.name == '4.dcm' else ''}\n"
        for p in folder.rglob("*.dcm"))
    )  # fmt: skip
    assert _sides(folder)["4.dcm"] == split


def test_deal_of_another_key_is_refused_and_dealt_anew_on_demand(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _sides(folder)
    monkeypatch.setenv("MONAI_XR_KEY", str(tmp_path / "other.key"))
    with pytest.raises(ConfigurationError, match=r"another key.*MONAI_XR_KEY"):
        find_records(folder, split="train")
    split_folder(folder, resplit=True)
    assert set(_sides(folder)) == set(before)


def test_split_command_tells_who_is_where_and_how_many_moved(folder: Path, monai_xr: Any) -> None:
    code, told, _ = monai_xr("split", folder, "--seed", 3)
    assert code == 0
    assert "train: 14 sick" in told
    assert monai_xr("split", folder)[1] == told
    code, _, error = monai_xr("split", folder, "--seed", 4)
    assert code == 2
    assert "dealt with another seed (3) : seed : leave --seed out, or deal anew with --resplit" in error
    before = json.loads((folder / SPLITS_FILE).read_text())["split_of"]
    code, told, _ = monai_xr("split", folder, "--seed", 4, "--resplit")
    after = json.loads((folder / SPLITS_FILE).read_text())["split_of"]
    moved = sum(after[unit] != split for unit, split in before.items())
    assert moved > 0
    assert f"{moved} of {len(before)} patients or groups moved" in told


def test_damaged_table_is_told(folder: Path) -> None:
    _sides(folder)
    (folder / SPLITS_FILE).write_text("{")
    with pytest.raises(InputDataError, match=r"table of splits is damaged : splits\.json"):
        find_records(folder, split="train")


@pytest.mark.parametrize("named", [True, False])
def test_group_in_two_splits_is_refused_by_all_that_read_a_folder(tmp_path: Path, png: Any, named: bool) -> None:
    for index in range(2):
        png(tmp_path / f"{index}.png", index)
    (tmp_path / "manifest.csv").write_text("image,label,patient_id,split,group_id\n0.png,x,,train,G\n1.png,x,,test,G\n")
    with pytest.raises(InputDataError, match="one group is in the splits test and train"):
        find_records(tmp_path, split="train" if named else None)


def test_table_of_a_read_only_folder_lies_in_the_state_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    can = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: False if Path(path) == folder else can(path, mode))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    before = _sides(folder, seed=1)
    assert not (folder / SPLITS_FILE).exists()
    assert len(list((tmp_path / "state" / "monai_xr" / "splits").iterdir())) == 1
    assert _sides(folder) == before
    monkeypatch.setattr(os, "access", can)  # the folder becomes writable: nobody is dealt anew
    assert _sides(folder) == before


def test_two_processes_deal_the_same(folder: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        found: list[Records] = list(pool.map(lambda _: find_records(folder, split="train"), range(4)))
    assert len({tuple(r.image.name for r in records) for records in found}) == 1


def test_a_patient_who_turns_out_to_be_two_dealt_ones_is_refused_by_name(tmp_path: Path, dicom: Any) -> None:
    root = tmp_path / "films"
    for patient in range(12):
        for hospital in ("NORTH", "SOUTH"):
            number = 100 * (hospital == "SOUTH") + patient
            dicom(
                root / f"{number}.dcm",
                number,
                PatientID=str(patient),
                IssuerOfPatientID=hospital,
                StudyInstanceUID=f"1.2.{number + 1}",
            )
    sides = _sides(root, seed=0)
    parted = next(number for number in range(12) if sides[f"{number}.dcm"] != sides[f"{100 + number}.dcm"])
    dicom(root / "999.dcm", 999, PatientID=str(parted), StudyInstanceUID="1.2.999")
    with pytest.raises(InputDataError, match=r"ties together what was dealt to \w+ and \w+ : .*--resplit"):
        find_records(root, split="train")
