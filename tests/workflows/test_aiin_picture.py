"""The normalised images of a folder, and the picture of thresholds and windows."""

import cv2
import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

from monai_xr.data.images.png import write_png
from monai_xr.errors import ConfigurationError, HostError, InputDataError
from monai_xr.transforms.aiin.functions import ArrayNormaliser
from monai_xr.transforms.aiin.settings import checked_settings
from monai_xr.transforms.aiin.transforms import AIIN
from monai_xr.workflows.aiin_picture import draw_aiin, normalise_files


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "in"
    (source / "deeper").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "a.jpg", "deeper/b.png"):
        Image.fromarray(rng.integers(0, 256, (40, 30), np.uint8)).save(source / name)
    (source / "notes.txt").write_text("no film")
    return source


def test_folder_is_written_with_its_folders_and_the_rest_is_named(folder, tmp_path):
    done = normalise_files(folder, tmp_path / "out", AIIN((2, 2), 5.0), clip_limits=[2, 80], tiles=[2])
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png"))
    assert names == ["a.jpg.png", "a.png.png", "aiin.png", "deeper/b.png"]
    assert done.skipped == [("notes.txt", "not a PNG, JPEG or DICOM file (text)")]
    assert len(done.written) == 3
    before, after = Image.open(folder / "a.png"), Image.open(tmp_path / "out" / "a.png.png")
    np.testing.assert_array_equal(after, cv2.createCLAHE(5.0, (2, 2)).apply(np.asarray(before)))


@pytest.mark.parametrize("settings", [((2, 2), 5.0, "opencv", 8), ((4, 3), 2.0, "exact", 12)])
def test_arrays_are_normalised_without_monai_as_by_its_transform(settings):
    image = np.random.default_rng(0).random((40, 30), np.float32)
    expected = AIIN(*settings[:3], bits=settings[3])(image)
    np.testing.assert_array_equal(ArrayNormaliser(checked_settings(*settings))(image), expected)


def test_phantoms_are_let_in_on_request_and_stay_marked(tmp_path):
    (tmp_path / "in").mkdir()
    write_png(tmp_path / "in" / "p.png", np.full((32, 32), 0.5, np.float32), {"Synthetic": "phantom"})
    with pytest.raises(InputDataError, match="phantom"):
        normalise_files(tmp_path / "in", tmp_path / "out", AIIN((2, 2)), tiles=[1])
    normalise_files(tmp_path / "in", tmp_path / "out", AIIN((2, 2)), tiles=[1], admit=("phantom",))
    with Image.open(tmp_path / "out" / "p.png") as written:
        assert written.text["Synthetic"] == "phantom"


def test_deep_images_keep_their_depth(folder, tmp_path):
    normalise_files(folder / "a.png", tmp_path / "out", AIIN((2, 2), 5.0, "exact", bits=12), tiles=[1])
    written = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    assert written.dtype == np.uint16
    assert len(np.unique(written)) > 256


def test_second_run_does_not_read_the_first_ones_output(folder):
    for _ in range(2):
        done = normalise_files(folder, folder / "out", AIIN((2, 2), 5.0), clip_limits=[80], tiles=[1])
    assert len(done.written) == 3


def test_picture_has_a_cell_for_each_threshold_and_window_and_no_global_state():
    image = np.random.default_rng(0).random((64, 48))
    figure = draw_aiin(image, [1.0, 30.0], [2, 8])
    titles = [axes.get_title() for axes in figure.get_axes() if axes.get_title()]
    assert titles == [
        "before: 48 x 64 px, 8 bits",
        "2 x 2 tiles, clip limit 1",
        "2 x 2 tiles, clip limit 30",
        "8 x 8 tiles, clip limit 1\n(limit without effect)",  # 48 pixels a tile, fewer than bins
        "8 x 8 tiles, clip limit 30",
    ]
    assert pyplot.get_fignums() == []


def test_what_cannot_work_is_told_and_nothing_is_written(folder, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputDataError, match=r"no usable image; notes\.txt: not a PNG"):
        normalise_files(folder / "notes.txt", out, AIIN())
    with pytest.raises(ConfigurationError, match="no such file or folder"):
        normalise_files(tmp_path / "absent", out, AIIN())
    with pytest.raises(ConfigurationError, match="another output folder"):
        normalise_files(folder, folder, AIIN())
    with pytest.raises(ConfigurationError, match="at least one"):
        normalise_files(folder, out, AIIN(), tiles=[])
    with pytest.raises(HostError, match="cannot be written"):
        normalise_files(folder, folder / "notes.txt", AIIN((2, 2)), clip_limits=[80], tiles=[1])
    assert not out.exists()


def test_dark_film_is_read_at_the_depth_of_its_folder(tmp_path):
    for index in range(20):
        levels = np.random.default_rng(index).integers(0, 60000 if index else 3000, (64, 64)).astype(np.uint16)
        (tmp_path / "films").mkdir(exist_ok=True)
        Image.fromarray(levels).save(tmp_path / "films" / f"{index:02}.png")
    seen = []
    normalise = AIIN((1, 1), 10, "exact", bits=16)
    normalise_files(tmp_path / "films", tmp_path / "out", _Seeing(normalise, seen))
    assert seen[0].max() < 3000 / 65535
    assert seen[1].max() > 0.8


def test_films_are_called_as_before_unless_two_would_meet(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("b.png", "aiin.png", "c.dcm.png", "1.2.840"):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30), np.uint8)).save(
            tmp_path / "in" / name, "PNG"
        )
    normalise_files(tmp_path / "in", tmp_path / "out", AIIN((2, 2), 5.0), clip_limits=[80], tiles=[1])
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"b.png", "aiin.png", "aiin.png.png", "c.dcm.png", "1.2.840.png"}


class _Seeing:
    """A transform that keeps what it is given."""

    def __init__(self, normalise, seen):
        self.normalise, self.seen, self.settings = normalise, seen, normalise.settings

    def __call__(self, image):
        self.seen.append(image)
        return self.normalise(image)
