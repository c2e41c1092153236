"""Text planted into films is found, whatever its size, contrast and direction; markers and anatomy are not held."""

import os
import shutil
import subprocess

import cv2
import imagecodecs
import numpy as np
import pydicom
import pydicom.uid as uids
import pytest
from PIL import Image
from planted_text import letters, plant
from pydicom.encaps import generate_frames

from monai_xr.data.deidentifying.deidentified_folder import encoded
from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.dicom import read_xray
from monai_xr.dicom.deidentification.blacking_out import black_out
from monai_xr.dicom.deidentification.markers import is_marker
from monai_xr.dicom.sandbox import isolated_reading as isolation
from monai_xr.dicom.sandbox.isolated_reading import look_for_text
from monai_xr.errors import ConfigurationError, InputDataError

ANYONE = ("patient", "phantom")


@pytest.mark.parametrize(
    "text",
    [
        "L",
        "R",
        "AP",
        "pa",
        "Portable",
        "AP SUPINE",
        "APSUPINE",
        "PORTABLE-AP",
        "R ERECT",
        "SEMI-ERECT",
        "A-P",
        "L.",
        "(R)",
        "DCHA.",
        "Izqda",
        "DECÚBITO SUPINO",
        "PORTÁTIL",
        "droite",
        "LINKS",
        "DX",
        "SX",
    ],
)
def test_markers_name_nobody(text):
    assert is_marker(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "DOE",
        "R DOE",
        "PAPAL",
        "LAPA",
        "RAP",
        "7",
        "12:30",
        "AP 1955",
        "L R L R L",
        "SUPINEDOE",
        "PORT",
        "A-A",
        "DXSX",
        "DCHA LI",
        "IZQDA 02.03.1955",
        "02.03.1955",
        "OCHA",
        "山",
    ],
)
def test_other_words_may_name_somebody(text):
    assert not is_marker(text)


@pytest.mark.parametrize(("text", "passes"), [("OCHA.", True), ("DCEA", True), ("P0RTABLE", True), ("OCHOA", False),
                                              ("ROCHA", False), ("DONA", False), ("DX LO", False)])  # fmt: skip
def test_low_letters_are_taken_for_others_like_them(text, passes):
    assert is_marker(text, blurred=True) is passes


@pytest.mark.parametrize(("text", "passes"), [("12:30", True), ("AP 07:05:59 AM", True), ("12:75", False),
                                              ("12:30 DOE", False), ("1230", False)])  # fmt: skip
def test_times_of_exposure_are_markers_by_choice(text, passes):
    assert is_marker(text, times=True) is passes
    assert not is_marker(text)


@pytest.fixture(scope="module")
def grounds(tmp_path_factory):
    """Chest phantoms of 512 px, (H, W) in [0, 1]."""
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantom_studies(folder / "films", patients=6, seed=3, size=512, manifest=False)
    return [read_xray(path, admit=ANYONE).pixels.astype(float) for path in sorted(folder.rglob("*.dcm"))]


def as_words(pixels):
    return np.rint(pixels * 4095).astype(np.uint16)


def found(path, **options):
    return look_for_text(path, admit=ANYONE, **options).boxes


def covered(box, boxes):
    """Which share of a box lies in others."""
    mask = np.zeros((2048, 2048), bool)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = True
    return mask[box[0] : box[2], box[1] : box[3]].mean()


@pytest.mark.usefixtures("really_looked_at")
class TestLooking:
    def test_planted_texts_are_found_and_clean_films_are_not_held(self, write_film, grounds):
        random = np.random.default_rng(2)
        for ground in grounds[:3]:
            assert found(write_film(as_words(ground), bits=12)) == ()
            pixels, planted = plant(ground, random)
            assert covered(planted.box, found(write_film(as_words(pixels), bits=12))) > 0.2, planted

    @pytest.mark.parametrize(("words", "height", "turns"), [("Li", 40, 1), ("A. Li", 40, 1), ("L. Li", 90, 3),
                                                            ("L. Li", 90, 0)])  # fmt: skip
    def test_a_name_that_holds_a_marker_is_more_than_a_marker(self, write_film, grounds, words, height, turns):
        pixels = grounds[5].copy()
        strokes = np.rot90(letters(words, height), turns)
        box = (40, 60, 40 + strokes.shape[0], 60 + strokes.shape[1])
        place = np.s_[box[0] : box[2], box[1] : box[3]]
        pixels[place] = pixels[place] * (1 - strokes) + strokes
        assert covered(box, found(write_film(as_words(pixels), bits=12))) > 0.2

    @pytest.mark.parametrize(("text", "marker", "kind"), [(1, 0.97, "text"), (0.9, 0.95, "text"), (0.7, 0.9, "marker"),
                                                          (0.7, 0.75, "anatomy"), (0.0, 0.9, "marker")])  # fmt: skip
    def test_what_reads_almost_as_surely_as_more_is_no_marker(self, text, marker, kind):
        from monai_xr.dicom.deidentification.text_in_pixels import _Line

        line = _Line((0, 0, 10, 20), text, marker)
        assert (line.is_text(), line.is_marker()) == (kind == "text", kind == "marker")

    def test_text_of_10_pixels_on_a_large_film(self, write_film, grounds):
        large = cv2.resize(grounds[0], (1300, 600), interpolation=cv2.INTER_CUBIC).clip(0, 1)
        strokes = letters("MILLER 12345678", 10)
        place = np.s_[400 : 400 + strokes.shape[0], 1010 : 1010 + strokes.shape[1]]  # across the edge of a tile
        large[place] = np.maximum(large[place], strokes)
        box = (400, 1010, 400 + strokes.shape[0], 1010 + strokes.shape[1])
        assert covered(box, found(write_film(as_words(large), bits=12))) > 0.5

    def test_a_name_outside_of_the_window_is_found(self, write_film, grounds):
        words = as_words(grounds[0]) // 2
        strokes = letters("DOE^JANE", 20) > 0.5
        words[20 : 20 + strokes.shape[0], 30 : 30 + strokes.shape[1]][strokes] = 2600
        words[: words.shape[0] // 5] = np.maximum(words[: words.shape[0] // 5], 2100)
        film = write_film(words, bits=12, WindowCenter=1000, WindowWidth=2000)
        assert read_xray(film).pixels[: words.shape[0] // 5].min() == 1  # nothing to see as displayed
        assert found(film)

    def test_signed_values_are_told_apart(self, write_film, grounds):
        pixels, planted = plant(grounds[1], np.random.default_rng(4), words="JONES 774120")
        signed = as_words(pixels).astype(np.int16) - 2048
        assert covered(planted.box, found(write_film(signed, bits=12))) > 0.2
        assert found(write_film(as_words(grounds[1]).astype(np.int16) - 2048, bits=12)) == ()

    @pytest.mark.parametrize(("words", "times", "is_held"), [("R", False, False), ("AP SUPINE", False, False),
                                                             ("12:30", False, True), ("12:30", True, False),
                                                             ("R DOE", True, True)])  # fmt: skip
    def test_markers_stay(self, write_film, grounds, words, times, is_held):
        pixels = grounds[2].copy()
        strokes = letters(words, 20)
        pixels[10 : 10 + strokes.shape[0], 12 : 12 + strokes.shape[1]] = strokes
        assert bool(found(write_film(as_words(pixels), bits=12), times=times)) is is_held

    def test_a_small_film_cannot_be_looked_at(self, write_film):
        with pytest.raises(InputDataError, match=r"below 96 pixels on a side"):
            found(write_film(np.zeros((95, 500), np.uint16)))

    def test_the_answer_holds_places_and_no_words(self, write_film, grounds):
        pixels, _ = plant(grounds[3], np.random.default_rng(1), words="ZZPHI CANARY")
        answer = look_for_text(write_film(as_words(pixels), bits=12), admit=ANYONE)
        assert set(vars(answer)) == {"shape", "boxes"}
        assert all(isinstance(side, int) for box in answer.boxes for side in box)

    def test_the_child_that_looks_is_confined_as_the_one_that_reads(self):
        looking = isolation._looking_pool(os.getpid()).take()
        try:
            assert looking.confinement == isolation.confinement_in_force()
        finally:
            looking.stop()


def test_without_the_extra_nothing_is_looked_at(write_film, monkeypatch):
    monkeypatch.setattr(isolation, "can_look_for_text", lambda: False)
    with pytest.raises(ConfigurationError, match="extra ocr is not installed"):
        found(write_film(np.zeros((200, 200), np.uint16)))


SQUARE = (20, 30, 40, 90)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("syntax", [uids.ExplicitVRLittleEndian, uids.ImplicitVRLittleEndian, uids.ExplicitVRBigEndian])
@pytest.mark.parametrize("signed", [False, True])
def test_blacked_out_places_are_black_and_all_else_stays(write_film, tmp_path, photometric, syntax, signed):
    words = np.random.default_rng(0).integers(0, 4096, (120, 100)).astype(np.uint16)
    stored = words.astype(np.int16) - 2048 if signed else words
    film = write_film(stored, bits=12, syntax=syntax, PhotometricInterpretation=photometric,
                      PatientOrientation=["R", "H"], WindowCenter=0 if signed else 2048, WindowWidth=4096)  # fmt: skip
    before = read_xray(film).pixels
    ds = black_out(film, [SQUARE], admit=ANYONE)
    assert ds.file_meta.TransferSyntaxUID == syntax
    assert ds.DeidentificationMethodCodeSequence[0].CodeValue == "113101"
    (tmp_path / "made.dcm").write_bytes(encoded(ds))
    after = read_xray(tmp_path / "made.dcm").pixels
    assert after[20:40, 30:90].max() == 0
    margin = np.ones(after.shape, bool)
    margin[10:50, 20:] = False
    np.testing.assert_array_equal(after[margin], before[margin])


@pytest.mark.parametrize("syntax", [uids.JPEGLSLossless, uids.JPEG2000Lossless, uids.RLELossless])
def test_compressed_films_come_out_uncompressed(write_film, syntax):
    words = np.random.default_rng(0).integers(0, 256, (120, 100)).astype(np.uint8)
    if syntax == uids.JPEG2000Lossless:
        stream = imagecodecs.jpeg2k_encode(words, codecformat="j2k", reversible=True, level=0)
    else:
        ds = pydicom.dcmread(write_film(words))
        ds.compress(syntax, words, generate_instance_uid=False)
        (stream,) = generate_frames(ds.PixelData, number_of_frames=1)
    made = black_out(write_film(words, syntax=syntax, stream=stream), [SQUARE], admit=ANYONE)
    assert made.file_meta.TransferSyntaxUID == uids.ExplicitVRLittleEndian
    pixels = np.frombuffer(made.PixelData, np.uint8).reshape(120, 100)
    assert pixels[20:40, 30:90].max() == 0
    np.testing.assert_array_equal(pixels[:10], words[:10])


def test_a_colour_film_comes_out_grey(write_film):
    grey = np.random.default_rng(0).integers(0, 256, (120, 100)).astype(np.uint8)
    made = black_out(write_film(np.dstack([grey] * 3)), [SQUARE], admit=ANYONE)
    pixels = np.frombuffer(made.PixelData, np.uint8).reshape(120, 100)
    assert (made.SamplesPerPixel, made.PhotometricInterpretation) == (1, "MONOCHROME2")
    assert pixels[20:40, 30:90].max() == 0
    np.testing.assert_array_equal(pixels[:10], grey[:10])


@pytest.mark.usefixtures("really_looked_at")
def test_a_second_reader_agrees(write_film, grounds, tmp_path):
    """Tesseract reads the planted words before, and none after."""
    if shutil.which("tesseract") is None and os.environ.get("CI") != "true":
        pytest.skip("tesseract is not installed")
    pixels = grounds[4].copy()
    strokes = letters("MILLER 12345678", 16)
    pixels[40 : 40 + strokes.shape[0], 40 : 40 + strokes.shape[1]] = strokes
    film = write_film(as_words(pixels), bits=12)
    ds = black_out(film, found(film), admit=ANYONE)
    ds.save_as(tmp_path / "made.dcm", enforce_file_format=True)
    assert "12345678" in second_reading(film, tmp_path)
    assert not any(len(word) > 2 for word in second_reading(tmp_path / "made.dcm", tmp_path).split())
    assert found(tmp_path / "made.dcm") == ()


def second_reading(film, folder):
    picture = Image.fromarray(np.rint(read_xray(film).pixels * 255).astype(np.uint8))
    picture.resize((1024, 1024)).save(folder / "picture.png")
    command = ["tesseract", str(folder / "picture.png"), "-", "--psm", "11", "-c", "tessedit_char_whitelist=0123456789"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
