"""Review of a quarantine: what is shown, who decided, and what a killed review leaves."""

import hashlib
import json
import stat

import numpy as np
import pydicom
import pytest
from PIL import Image

from monai_xr.data.deidentifying import (
    deidentify_folder,
    is_ended,
    review_folder,
    reviewing,
    waiting_images,
    write_review_sheets,
)
from monai_xr.data.deidentifying.review_sheets import SIDE
from monai_xr.errors import ConfigurationError, HostError, InputDataError


@pytest.fixture
def out(tmp_path, dicom):
    """A quarantine of five images of three patients."""
    for number in range(5):
        burned_in = "YES" if number == 0 else None
        dicom(tmp_path / "source" / f"{number}.dcm", number, PatientID=f"P{number % 3}", BurnedInAnnotation=burned_in)
    deidentify_folder(tmp_path / "source", tmp_path / "out")
    return tmp_path / "out"


def lines(out):
    return [json.loads(line) for line in (out / "decisions.jsonl").read_text().splitlines()]


def test_waiting_images_have_names_and_reasons(out):
    waiting = waiting_images(out)
    assert len(waiting) == 5
    assert len({image.name for image in waiting}) == 5
    assert sorted(image.reason for image in waiting) == ["burned-in annotation is YES"] + ["text in its pixels"] * 4
    assert {image.patient_id[:3] for image in waiting} == {"XR-"}


def test_a_released_image_may_go_out(out):
    image = waiting_images(out)[0]
    content = image.path.read_bytes()
    assert review_folder(out, release=[image.name], by="Dr. Ada Byron") == 1
    (place,) = (out / "images").rglob("*.dcm")
    assert place.name == f"{image.sop_uid}.dcm"
    assert place.parent.name == image.patient_id
    before, after = pydicom.dcmread(pydicom.filebase.DicomBytesIO(content)), pydicom.dcmread(place)
    assert after.BurnedInAnnotation == "NO"
    assert after.DeidentificationMethod[1] == "a person looked at the pixels"
    assert after.PixelData == before.PixelData
    assert {element.keyword for element in after} - {element.keyword for element in before} <= {"BurnedInAnnotation"}
    (line,) = lines(out)
    assert (line["decision"], line["by"], line["sop_instance_uid"]) == ("released", "Dr. Ada Byron", image.sop_uid)
    assert line["sha256"] == hashlib.sha256(content).hexdigest()
    assert line["time"].endswith("Z")
    assert len(waiting_images(out)) == 4
    assert not image.path.with_suffix(".json").exists()


def test_a_rejected_image_stays_closed_away(out, tmp_path):
    image = waiting_images(out)[0]
    review_folder(out, reject=[image.sop_uid], by="AB")
    assert not list((out / "images").rglob("*.dcm"))
    assert sorted(path.suffix for path in (out / "quarantine" / "rejected").iterdir()) == [".dcm", ".json"]
    report = deidentify_folder(tmp_path / "source", out)
    assert report.reused == 5
    assert len(waiting_images(out)) == 4


def test_decisions_are_only_ever_added(out):
    for number, image in enumerate(waiting_images(out)):
        before = (out / "decisions.jsonl").read_bytes() if number else b""
        choice = {"release": [image.name]} if number % 2 else {"reject": [image.name]}
        review_folder(out, **choice, by=f"reader {number}")
        assert (out / "decisions.jsonl").read_bytes().startswith(before)
    assert [line["by"] for line in lines(out)] == [f"reader {number}" for number in range(5)]


def test_several_at_once(out):
    one, two, three, *_ = waiting_images(out)
    assert review_folder(out, release=[one.name, two.name], reject=[three.name], by="AB") == 3
    assert len(waiting_images(out)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"release": ["12345678"], "by": "AB"}, "0 waiting images are called so"),
        ({"release": ["1"], "by": "AB"}, "an ID of 1 characters"),
        ({"release": [" "], "by": "AB"}, "an ID of 0 characters"),
        ({"release": ["{name}"], "by": ""}, "nobody is named"),
        ({"release": ["{name}"], "by": "  "}, "nobody is named"),
        ({"release": ["{name}"], "by": "A\nB"}, "nobody is named"),
        ({"release": ["{name}", "{name}"], "by": "AB"}, "named twice"),
        ({"release": ["{name}"], "reject": ["{name}"], "by": "AB"}, "named twice"),
        ({"release": ["{name}", "99999999"], "by": "AB"}, "0 waiting images"),
    ],
)
def test_wrong_names_decide_nothing(out, arguments, message):
    name = waiting_images(out)[0].name
    given = {key: [each.format(name=name) for each in value] if isinstance(value, list) else value
             for key, value in arguments.items()}  # fmt: skip
    with pytest.raises(ConfigurationError, match=message):
        review_folder(out, **given)
    assert len(waiting_images(out)) == 5
    assert not (out / "decisions.jsonl").exists()


@pytest.mark.parametrize(("decision", "told"), [("release", "released"), ("reject", "rejected")])
def test_an_image_that_was_decided_on_before_is_told(out, decision, told):
    name = waiting_images(out)[0].name
    review_folder(out, **{decision: [name]}, by="AB")
    with pytest.raises(ConfigurationError, match=f"^that image does not wait: it was {told} before"):
        review_folder(out, release=[name], by="AB")
    assert len(lines(out)) == 1


@pytest.mark.parametrize("decision", ["release", "blank", "reject"])
def test_an_image_that_was_damaged_in_the_quarantine_is_not_let_out(out, tmp_path, decision):
    image = waiting_images(out)[0]
    image.path.write_bytes(image.path.read_bytes()[:-600])
    with pytest.raises(InputDataError, match=r"^damaged or changed since it was de-identified : 2\.25\.\d+\.dcm"):
        review_folder(out, **{decision: [image.name]}, by="AB")
    assert not (out / "decisions.jsonl").exists()
    image.path.unlink()
    deidentify_folder(tmp_path / "source", out)
    assert waiting_images(out)[0] == image
    assert review_folder(out, release=[image.name], by="AB") == 1


def test_another_file_in_the_place_of_one_that_was_decided_on_is_not_let_out(out, monkeypatch):
    one, two, *_ = waiting_images(out)
    monkeypatch.setattr(reviewing, "carry_out_decisions", lambda folder: None)
    review_folder(out, release=[one.name], by="AB")
    monkeypatch.undo()
    one.path.write_bytes(two.path.read_bytes())
    with pytest.raises(InputDataError, match="not the file that was decided on"):
        review_folder(out, by="AB")
    assert not list((out / "images").rglob("*.dcm"))


def test_a_folder_that_is_no_output(tmp_path):
    with pytest.raises(ConfigurationError, match="not the output of monai-xr deidentify"):
        waiting_images(tmp_path)


def test_an_image_without_its_note(out):
    waiting_images(out)[0].path.with_suffix(".json").unlink()
    with pytest.raises(InputDataError, match=r"JSON is missing.* : 2\.25\.\d+\.dcm"):
        waiting_images(out)


def test_a_note_that_was_lost_is_made_again(out, tmp_path):
    lost = waiting_images(out)[0]
    lost.path.with_suffix(".json").unlink()
    deidentify_folder(tmp_path / "source", out)
    assert waiting_images(out)[0] == lost


@pytest.mark.parametrize("decision", ["release", "reject"])
def test_a_review_killed_before_the_note_moved_leaves_none_behind(out, monkeypatch, decision):
    one = waiting_images(out)[0]
    note, moves = one.path.with_suffix(".json").read_text(), []

    def killed(folder):
        moves.append(folder)
        if len(moves) == 1:
            one.path.with_suffix(".json").write_text(note)
            raise KeyboardInterrupt

    monkeypatch.setattr(reviewing, "sync", killed)
    with pytest.raises(KeyboardInterrupt):
        review_folder(out, **{decision: [one.name]}, by="AB")
    review_folder(out, by="AB")
    assert not one.path.with_suffix(".json").exists()


def test_a_killed_review_is_carried_out_by_the_next_command(out, tmp_path, monkeypatch):
    one, two, *_ = waiting_images(out)

    def killed(folder):
        if folder.decisions.exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(reviewing, "carry_out_decisions", killed)
    with pytest.raises(KeyboardInterrupt):
        review_folder(out, release=[one.name], reject=[two.name], by="AB")
    monkeypatch.undo()
    assert len(waiting_images(out)) == 5
    deidentify_folder(tmp_path / "source", out)
    assert len(waiting_images(out)) == 3
    assert len(list((out / "images").rglob("*.dcm"))) == 1


def test_a_torn_line_does_not_hide_the_next_decision(out):
    (out / "decisions.jsonl").write_text('{"time": "2026-01-01T00:00:00Z", "decis')
    review_folder(out, release=[waiting_images(out)[0].name], by="AB")
    assert len(list((out / "images").rglob("*.dcm"))) == 1


def test_nothing_is_recorded_on_a_full_disk(out, monkeypatch):
    image = waiting_images(out)[0]

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reviewing, "write_whole", full)
    with pytest.raises(HostError, match="No space left"):
        review_folder(out, release=[image.name], by="AB")
    monkeypatch.undo()
    assert image.path.exists()
    review_folder(out, by="AB")
    assert not image.path.exists()


def test_the_quarantine_is_closed_to_others(out):
    assert stat.S_IMODE((out / "quarantine").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (out / "quarantine").glob("2.25*")} == {0o600}


def test_sheets_show_every_waiting_image(out):
    sheets = write_review_sheets(out, waiting_images(out))
    assert [sheet.name for sheet in sheets] == ["sheet-1.png", "sheet-2.png"]
    for sheet in sheets:
        assert sheet.parent == out / "quarantine"
        assert stat.S_IMODE(sheet.stat().st_mode) == 0o600
        with Image.open(sheet) as picture:
            assert picture.width > 2 * SIDE
    assert not list((out / "quarantine").glob(".view*"))
    assert [sheet.name for sheet in write_review_sheets(out, waiting_images(out)[:1])] == ["sheet-1.png"]
    assert len(list((out / "quarantine").glob("sheet-*"))) == 1


def test_sheets_go_with_the_last_decision(out):
    write_review_sheets(out, waiting_images(out))
    names = [image.name for image in waiting_images(out)]
    review_folder(out, reject=names[:4], by="AB")
    assert list((out / "quarantine").glob("sheet-*"))
    review_folder(out, release=names[4:], by="AB")
    assert not list((out / "quarantine").glob("sheet-*"))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_letters_outside_the_window_show_in_the_second_picture(tmp_path, dicom, photometric):
    pixels = np.full((600, 600), 1000, np.uint16)
    pixels[:, :300] += np.arange(300, dtype=np.uint16)
    letters = np.s_[100:120, 400:500]
    pixels[letters] = 1100  # as white as the ground in a window of 0 to 1000
    dicom(tmp_path / "source" / "a.dcm", pixels=pixels, WindowCenter="500", WindowWidth="1000",
          PixelPaddingValue=1100, PhotometricInterpretation=photometric)  # fmt: skip
    deidentify_folder(tmp_path / "source", tmp_path / "out")
    (sheet,) = write_review_sheets(tmp_path / "out", waiting_images(tmp_path / "out"))
    shown = np.asarray(Image.open(sheet)).astype(int)
    right = shown[24 : 24 + 600, 6 + SIDE + 6 :][:, :600]
    inside, outside = right[letters], right[80:95, 400:500]
    assert abs(np.median(inside) - np.median(outside)) > 60


def test_an_image_that_cannot_be_decoded_says_so(out):
    image = waiting_images(out)[0]
    ds = pydicom.dcmread(image.path)
    ds.PixelData = ds.PixelData[:100]
    ds.save_as(image.path)
    assert len(write_review_sheets(out, waiting_images(out))) == 2


def test_a_run_that_was_stopped_has_not_ended(tmp_path, tree):
    output = tmp_path / "out"

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deidentify_folder(tree, output, progress=stop)
    assert not is_ended(output)
    deidentify_folder(tree, output)
    assert is_ended(output)
