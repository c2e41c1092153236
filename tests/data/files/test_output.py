import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monai_xr.data.deidentifying import deidentify_folder, review_folder, waiting_images, write_review_sheets
from monai_xr.data.files.output import write_text
from monai_xr.data.inspecting import inspect_folder
from monai_xr.data.preparing import PrepareSettings, prepare
from monai_xr.errors import HostError
from monai_xr.transforms.aiin.transforms import AIIN
from monai_xr.workflows.aiin_picture import normalise_files


def test_makes_folders_and_replaces_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "page.html"
    write_text(path, "old, and longer than the new one")
    write_text(path, "Fréchet\n")
    assert path.read_bytes() == "Fréchet\n".encode()
    assert [each.name for each in path.parent.iterdir()] == ["page.html"]


def test_keeps_the_old_file_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.html"
    write_text(path, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError, match=r"No space left on device : page\.html"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


@pytest.fixture
def open_to_all() -> Iterator[None]:
    """A process whose new files everybody may read and write."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_to_all")
def test_what_is_made_from_patients_is_their_owners_alone(tmp_path: Path, dicom: Any, monai_xr: Any) -> None:
    for number in range(4):
        dicom(tmp_path / "in" / "sick" / f"{number}.dcm", number)
    out = tmp_path / "out"
    prepare(tmp_path / "in", out, PrepareSettings(size=32, decode="direct"))
    inspect_folder(tmp_path / "in").write_contact_sheet(out / "sheet.png")
    normalise_files(tmp_path / "in", out / "aiin", AIIN((2, 2), 2.0), clip_limits=[2], tiles=[2])
    sheet, table, facts = (tmp_path / "told" / f"told.{kind}" for kind in ("png", "csv", "json"))
    monai_xr("inspect", tmp_path / "in", "--json", facts, "--csv", table, "--sheet", sheet, "--decode", "direct")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (sheet, table, facts)} == {0o600}
    assert stat.S_IMODE((next((out / "pixels").rglob("index.jsonl"))).stat().st_mode) == 0o600
    made = [path for path in out.rglob("*") if path.is_file() and "pixels" not in path.relative_to(out).parts]
    assert len(made) == 5 + 1 + 5  # reports, manifest, splits and headers, sheet, images with their picture
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}
    (store,) = (out / "pixels").iterdir()
    assert stat.S_IMODE(store.stat().st_mode) == 0o700


@pytest.mark.usefixtures("open_to_all")
def test_records_of_a_deidentification_are_their_owners_alone_and_images_are_not_for_all(
    tmp_path: Path, dicom: Any
) -> None:
    for number in range(4):
        tags = {"BurnedInAnnotation": "NO" if number % 2 else "YES", "BodyPartExamined": "CHEST"}
        dicom(tmp_path / "in" / f"{number}.dcm", number, **tags)
    (tmp_path / "in" / "labels.csv").write_text("image,label\n" + "".join(f"{n}.dcm,sick\n" for n in range(4)))
    deidentify_folder(tmp_path / "in", tmp_path / "out")
    (first, _) = waiting_images(tmp_path / "out")
    review_folder(tmp_path / "out", release=[first.name], by="AB")
    write_review_sheets(tmp_path / "out", waiting_images(tmp_path / "out"))
    made = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    images = {mode for path, mode in made.items() if (tmp_path / "out" / "images") in path.parents}
    others = {mode for path, mode in made.items() if "images" not in path.parts and path.name != ".lock"}
    assert (images, others) == ({0o640}, {0o600})
    assert {"manifest.jsonl", "decisions.jsonl", "job.json", "report.json"} <= {path.name for path in made}
