"""`monai-xr judge` and `test`: a trained classifier asked about films, and tested on labelled ones, for people."""

import csv
import io
import json
import re
from html import unescape

import numpy as np
import pytest
from PIL import Image

from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.workflows.bundle_running.bundle_folders import find_bundle
from monai_xr.workflows.bundle_running.bundles import run_bundle

pytestmark = pytest.mark.filterwarnings("ignore:.*resolved to an importable callable")
COMMA = "EFFUSION, left"


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Phantoms of two classes, one with a comma in its name, in a manifest without splits."""
    folder = tmp_path_factory.mktemp("films")
    rows = write_phantom_studies(folder, patients=40, size=64, findings=("NORMAL", "EFFUSION"))
    lines = [[row.image, COMMA if row.label == "EFFUSION" else row.label, row.patient_id] for row in rows]
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "label", "patient_id"], *lines])
    (folder / "labels.csv").unlink(missing_ok=True)
    return folder


@pytest.fixture(scope="module")
def run(films, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "out"
    knobs = {"accept_phantoms": True, "batch_size": 8, "image_size": 64, "max_epochs": 1, "backbone": "resnet10t"}
    knobs |= {"dataset_dir": str(films), "output_dir": str(folder), "track": False, "classes": f"NORMAL,{COMMA}"}
    run_bundle(find_bundle("chest_xray_vit_classification"), "training", "train", knobs)
    return folder


def pictures(page):
    import base64

    for code in re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page):
        yield Image.open(io.BytesIO(base64.b64decode(code)))


def assert_no_raw_python(page):
    text = unescape(re.sub(r"<[^>]*>", " ", page.partition("</style>")[2]))
    assert not re.findall(r"\{'|\['|\bNone\b|\bTrue\b|\bFalse\b|half_widths", text)


def test_test_tells_each_thing_once_and_shows_films(monai_xr, run, films):
    code, out, error = monai_xr("test", run, films, "--accept-phantoms")
    assert code == 0, error
    assert re.search(r"^AUROC \d\.\d\d", out, re.M)
    assert re.search(rf"{COMMA}: finds \d+% of the films with it, clears \d+% of those without", out)
    assert f"next: monai-xr judge {run} FILMS" in out
    assert "NORMAL: finds" not in out  # of two classes that exclude each other the other says the same
    page = (run / "evaluation" / "report.html").read_text()
    rows = re.findall(r'<th scope="row">([^<]*)</th><td class="value" data-label', page)
    assert len(rows) == len(set(rows)) >= 8
    assert sum("AUROC" in row for row in rows) == sum("Sensitivity" in row for row in rows) == 1
    assert not [row for row in rows if row.startswith("NORMAL")]
    assert page.count("<svg") == 3
    assert_no_raw_python(page)
    measures = json.loads((run / "evaluation" / "measures.json").read_text())
    groups = re.findall(r"<h3>(.*?) \((?:the surest \d+ of )?(\d+)\)</h3>", page)
    assert sum(int(count) for _, count in groups) == measures["settings"]["films"]
    assert next(pictures(page)).size == (128, 64)  # a film of 64 pixels, beside itself with the map
    code, out, _ = monai_xr("test", run, films, "--accept-phantoms")
    assert code == 0
    assert "evaluation-2/report.html" in out  # the first report stays


def test_judge_writes_films_at_their_size_with_the_map_over_them(monai_xr, run, films):
    code, out, error = monai_xr("judge", run, films, "--accept-phantoms")
    assert code == 0, error
    found = json.loads((run / "findings" / "findings.json").read_text())["films"]
    counts = [int(number) for number in re.findall(r"(\d+) (?:unsure|yes|no)", out)]
    assert sum(counts) == len(found)
    assert f"films: {run / 'findings' / 'findings.html'}" in out
    assert f"next: monai-xr test {run} FOLDER" in out
    with Image.open(run / "findings" / found[0]["map"]) as picture:
        assert picture.size == (64, 64)
        assert np.ptp(np.asarray(picture).astype(int), axis=2).max() > 40  # colour where it looked
    page = (run / "findings" / "findings.html").read_text()
    assert_no_raw_python(page)
    assert len(list(pictures(page))) == min(48, len(found))


def test_one_film_is_judged_and_a_mixed_folder_says_what_it_leaves_out(monai_xr, run, films, tmp_path):
    film = min(films.rglob("*.dcm"))
    code, out, error = monai_xr("judge", run, film, "--accept-phantoms", "--output", "one", "--no-maps")
    assert code == 0, error
    (found,) = json.loads((tmp_path / "one" / "findings.json").read_text())["films"]
    assert found["file"] == film.name
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "a.dcm").write_bytes(film.read_bytes())
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(tmp_path / "mixed" / "b.png")
    code, out, error = monai_xr("judge", run, "mixed", "--accept-phantoms", "--output", "two", "--no-maps")
    assert code == 0, error
    assert "left out, 1 files: PNG beside DICOM files" in out
    assert "judge them from a folder of their own" in out
    (left_out,) = json.loads((tmp_path / "two" / "findings.json").read_text())["refused"]
    assert left_out == {"file": "b.png", "reason": "PNG beside DICOM files"}
    code, _, error = monai_xr("judge", run, tmp_path / "mixed" / "b.png", "--output", "three")
    assert code == 0, error


def test_what_is_missing_is_told_before_anything_is_loaded(monai_xr, run, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, error = monai_xr("judge", run, "empty")
    assert (code, error.startswith("monai_xr: error: no PNG/JPEG/DICOM image (0 files seen) : empty")) == (3, True)
    code, _, error = monai_xr("judge", run, "absent.dcm")
    assert (code, error.startswith("monai_xr: error: no such file or folder : absent.dcm")) == (2, True)
    (tmp_path / "films" / "A").mkdir(parents=True)
    Image.fromarray(np.eye(64, dtype=np.uint8)).save(tmp_path / "films" / "A" / "1.png")
    for command in (("test", run, "films"), ("train", "chest_xray_dcgan", "--dataset_dir", "films")):
        code, _, error = monai_xr(*command)
        assert (code, error.startswith("monai_xr: error: 1 of 1 images without patient_id")) == (3, True), error


def test_generator_is_no_classifier(monai_xr, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text(json.dumps({"settings": {"bundle": "chest_xray_dcgan"}}))
    for command in ("judge", "test"):
        code, _, error = monai_xr(command, "out", tmp_path)
        assert code == 6
        assert "the training of a generator, no classifier : out : monai-xr sample it" in error
