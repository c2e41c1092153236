"""What `deidentify`, `review` and `inspect` say to the owner of the films: which files, and what to type next."""

import re
from pathlib import Path

import numpy as np
import pytest
from films import film_dataset, save_film


def film(path: Path, seed: int, **tags: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 4096, (40, 32)).astype("<u2")
    uids = {name: f"1.2.3.{place}.{seed}" for place, name in enumerate(("SOPInstanceUID", "StudyInstanceUID"))}
    known = {"PatientID": f"P{seed}", "PatientName": "ZZPHI^CANARY", "bits": 12, "BodyPartExamined": "CHEST"}
    return save_film(path, film_dataset(pixels, **{**known, **uids, **tags}), pixels.tobytes())


@pytest.fixture
def films(tmp_path):
    film(tmp_path / "films" / "1.dcm", 1, BurnedInAnnotation="YES")
    film(tmp_path / "films" / "2.dcm", 2, BurnedInAnnotation="YES")
    (tmp_path / "films" / "ZZPHI letter.txt").write_text("x")
    return tmp_path / "films"


def commands_in(said: str, what: str) -> list[list[str]]:
    """Give the arguments of the commands that a text tells to type."""
    lines = re.findall(rf"{what}: monai-xr ([^#\n]*)", said)
    return [line.split() for line in lines]


def test_from_deidentify_to_a_release_by_what_is_said(monai_xr, films, tmp_path):
    code, out, error = monai_xr("deidentify", films, "out")
    assert code == 0, error
    assert "0 ready to use, 2 wait for review, 0 copies of another file, 1 refused" in out
    (refused,) = re.findall(r"refused (~\w+): no DICOM file: text", out)
    assert "CANARY" not in out
    code, found, _ = monai_xr("inspect", films, "--find", refused)
    assert (code, found.strip()) == (0, "ZZPHI letter.txt")
    (following,) = commands_in(out, "next")
    code, out, _ = monai_xr(*following)
    assert code == 0
    assert "sheet-1.png" in out
    (release,) = commands_in(out, "let one out")
    (reject,) = commands_in(out, "keep it back")
    assert reject[2] == "--reject"
    code, out, error = monai_xr(*release)
    assert code == 0, error
    assert "1 images wait" in out
    (release,) = commands_in(out, "let one out")
    code, out, error = monai_xr(*release)
    assert code == 0, error
    assert len(list((tmp_path / "out" / "images").rglob("*.dcm"))) == 2
    (following,) = commands_in(out, "next")
    code, _, error = monai_xr(*following, "--no-patients", "--size", "32", "--seed", "1", "--fractions", "0.5,0,0.5")
    assert code == 0, error


def test_name_that_no_report_holds(monai_xr, films):
    code, _, error = monai_xr("inspect", films, "--find", "~0123456789abcdef")
    assert code == 2
    assert "no file is called '~0123456789abcdef' in reports : films" in error


def test_folder_without_an_image_is_bad_input(monai_xr, tmp_path):
    (tmp_path / "empty").mkdir()
    code, out, error = monai_xr("inspect", "empty")
    assert (code, out) == (3, "")
    assert "no image in it : empty : name a folder" in error
    (tmp_path / "empty" / "letter.txt").write_text("x")
    code, out, error = monai_xr("inspect", "empty")
    assert (code, "letter.txt" in out) == (3, True)


def test_deidentify_says_what_it_does_and_names_what_is_missing(monai_xr, films):
    code, _, error = monai_xr("deidentify", "absent", "out")  # its name may be that of a patient
    assert code == 2
    assert error.endswith("monai_xr: error: no such folder : the source : name a folder of DICOM files\n")
    code, _, error = monai_xr("deidentify", films, films / "out")
    assert "source and output lie one inside the other : out" in error
    assert error.startswith("looking at the files; what finds text in their pixels takes some seconds to start ...")
