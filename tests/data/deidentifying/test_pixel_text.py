"""De-identification looks at the pixels: what goes out, what waits with boxes, and what is blacked out."""

import json

import numpy as np
import pydicom
import pytest
from PIL import Image
from planted_text import letters

from monai_xr.data.deidentifying import (
    deidentify_folder,
    pixel_text,
    review_folder,
    waiting_images,
    write_review_sheets,
)
from monai_xr.dicom.sandbox.child import TextPlaces
from monai_xr.errors import ConfigurationError, InputDataError, PassingError

BOX = (40, 60, 60, 160)


def film(words="", side=300, number=0):
    """A soft film, (H, W) 12 bit, with words burned in."""
    rows, columns = np.mgrid[:side, :side]
    pixels = 1500 + 900 * np.sin(rows / 70 + number) * np.cos(columns / 90)
    if words:
        strokes = letters(words, 18)
        place = np.s_[40 : 40 + strokes.shape[0], 60 : 60 + strokes.shape[1]]
        pixels[place] = np.maximum(pixels[place], 4000 * strokes)
    return pixels.astype(np.uint16)


@pytest.mark.usefixtures("really_looked_at")
def test_the_pixels_decide_and_the_header_only_against(tmp_path, dicom):
    cases = {
        "clean": (film(), None), "marked": (film("AP SUPINE"), None), "said to be clean": (film("DOE^JANE 774"), "NO"),
        "named": (film("DOE^JANE 774"), None), "said to be named": (film(number=3), "YES"),
        "small": (film(side=64), "NO"),
    }  # fmt: skip
    for number, (name, (pixels, said)) in enumerate(cases.items()):
        dicom(tmp_path / "in" / f"{name}.dcm", number, pixels=pixels, BurnedInAnnotation=said)
    report = deidentify_folder(tmp_path / "in", tmp_path / "out", crosswalk=tmp_path / "who")
    told = {each["file"][:-4]: each for each in map(json.loads, (tmp_path / "who").read_text().splitlines())}
    assert {name: (each["status"], each["reason"]) for name, each in told.items()} == {
        "clean": ("ready", ""),
        "marked": ("ready", ""),
        "said to be clean": ("waiting", "text in its pixels"),
        "named": ("waiting", "text in its pixels"),
        "said to be named": ("waiting", "burned-in annotation is YES"),
        "small": ("waiting", "pixels not looked at: below 96 pixels on a side"),
    }
    assert report.counts == {"ready": 2, "waiting": 4}
    for path in (tmp_path / "out" / "images").rglob("*.dcm"):
        ds = pydicom.dcmread(path)
        assert ds.BurnedInAnnotation == "NO"
        assert ds.DeidentificationMethod[1] == "pixels looked at for text by software"
    assert not list((tmp_path / "out").rglob("*.part"))
    assert b"DOE" not in b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*.json*"))
    named = next(
        image for image in waiting_images(tmp_path / "out") if image.sop_uid == told["named"]["sop_instance_uid"]
    )
    check_blanking(tmp_path / "out", named, told["small"]["sop_instance_uid"])


def check_blanking(out, named, small):
    before = np.frombuffer(pydicom.dcmread(named.path).PixelData, np.uint16).reshape(300, 300)
    with pytest.raises(InputDataError, match="below 96 pixels"):
        review_folder(out, blank=[small], by="AB")
    assert review_folder(out, blank=[named.name], by="AB") == 1
    (place,) = (out / "images").rglob(f"{named.sop_uid}.dcm")
    ds = pydicom.dcmread(place)
    after = np.frombuffer(ds.PixelData, np.uint16).reshape(300, 300)
    assert after[42:56, 64:150].max() == 0
    np.testing.assert_array_equal(after[90:], before[90:])
    assert (ds.BurnedInAnnotation, ds.DeidentificationMethod[1]) == ("NO", pixel_text.BLACKED_OUT)
    assert [code.CodeValue for code in ds.DeidentificationMethodCodeSequence] == ["113100", "113101"]
    assert [json.loads(line)["decision"] for line in (out / "decisions.jsonl").read_text().splitlines()] == ["blanked"]


@pytest.fixture
def seen(monkeypatch):
    """What is found in the films, one look after the other; the last is found for ever."""
    answers = [(BOX,)]

    def look(path, **options):
        return TextPlaces((300, 300), answers.pop(0) if len(answers) > 1 else answers[0])

    monkeypatch.setattr(pixel_text, "look_for_text", look)
    monkeypatch.setattr(pixel_text, "can_look_for_text", lambda: True)
    return answers


@pytest.fixture
def waiting(tmp_path, dicom, seen, really_looked_at):
    """The output folder with one film in which text was found."""
    dicom(tmp_path / "in" / "a.dcm", 1, pixels=film(), BurnedInAnnotation="NO")
    deidentify_folder(tmp_path / "in", tmp_path / "out")
    return tmp_path / "out"


def test_boxes_are_drawn_on_the_sheets(waiting):
    (image,) = waiting_images(waiting)
    assert image.boxes == (BOX,)
    (sheet,) = write_review_sheets(waiting, [image])
    shown = np.asarray(Image.open(sheet))[24:, 6:]
    assert (shown[BOX[0] - 2, BOX[1] : BOX[3]] == 255).all()


def test_blacking_out_goes_on_until_nothing_is_found(waiting, seen):
    seen[:] = [((200, 200, 220, 260),), ()]
    (image,) = waiting_images(waiting)
    assert review_folder(waiting, blank=[image.name], by="AB") == 1
    (place,) = (waiting / "images").rglob("*.dcm")
    pixels = np.frombuffer(pydicom.dcmread(place).PixelData, np.uint16).reshape(300, 300)
    assert pixels[40:60, 60:160].max() == pixels[200:220, 200:260].max() == 0
    assert pixels[100:190].min() > 0


def test_an_image_in_which_text_stays_is_not_let_out(waiting):
    (image,) = waiting_images(waiting)
    before = image.path.read_bytes()
    with pytest.raises(InputDataError, match="text is still found after it was blacked out"):
        review_folder(waiting, blank=[image.name], by="AB")
    assert image.path.read_bytes() == before
    assert waiting_images(waiting) == (image,)
    assert not (waiting / "decisions.jsonl").exists()


def test_there_must_be_something_to_black_out(tmp_path, dicom, seen, really_looked_at):
    seen[:] = [()]
    dicom(tmp_path / "in" / "a.dcm", 1, pixels=film(), BurnedInAnnotation="YES")
    deidentify_folder(tmp_path / "in", tmp_path / "out")
    (image,) = waiting_images(tmp_path / "out")
    with pytest.raises(ConfigurationError, match="no text is found to black out"):
        review_folder(tmp_path / "out", blank=[image.name], by="AB")


def test_what_waits_for_the_extra_is_looked_at_once_it_is_there(tmp_path, dicom, monkeypatch, really_looked_at):
    from monai_xr.data.deidentifying import job as deidentification_job

    def installed(is_there):
        for module in (pixel_text, deidentification_job):
            monkeypatch.setattr(module, "can_look_for_text", lambda: is_there)

    monkeypatch.setattr(pixel_text, "look_for_text", lambda path, **options: TextPlaces((300, 300), ()))
    dicom(tmp_path / "in" / "a.dcm", 1, pixels=film(), BurnedInAnnotation="NO")
    dicom(tmp_path / "in" / "b.dcm", 2, pixels=film(number=1), BurnedInAnnotation="YES")
    installed(False)
    for _ in range(2):
        report = deidentify_folder(tmp_path / "in", tmp_path / "out")
        assert report.counts == {"waiting": 2}
        assert any("the extra ocr is not installed" in line for line in report.lines())
    installed(True)
    assert deidentify_folder(tmp_path / "in", tmp_path / "out").counts == {"ready": 1, "waiting": 1}
    (left,) = waiting_images(tmp_path / "out")
    assert left.reason == "burned-in annotation is YES"
    assert deidentify_folder(tmp_path / "in", tmp_path / "out").reused == 2


def test_a_film_that_takes_too_long_waits_for_the_next_run(tmp_path, dicom, monkeypatch, really_looked_at):
    def slow(path, **options):
        raise PassingError("its decoding took over 180 s", path)

    monkeypatch.setattr(pixel_text, "look_for_text", slow)
    monkeypatch.setattr(pixel_text, "can_look_for_text", lambda: True)
    dicom(tmp_path / "in" / "a.dcm", 1, pixels=film(), BurnedInAnnotation="NO")
    report = deidentify_folder(tmp_path / "in", tmp_path / "out")
    assert report.reasons["waiting"] == {"pixels not looked at this time: its decoding took over 180 s": 1}
    monkeypatch.setattr(pixel_text, "look_for_text", lambda path, **options: TextPlaces((300, 300), ()))
    assert deidentify_folder(tmp_path / "in", tmp_path / "out").counts == {"ready": 1}
