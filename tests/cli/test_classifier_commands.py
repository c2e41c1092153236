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
    knobs = {"accept_phantoms": True, "batch_size": 8, "image_size": 32, "max_epochs": 1, "backbone": "resnet10t"}
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
    assert f"{COMMA}: finds " in out
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
    with Image.open(run / "findings" / found[0]["map"]) as picture:
        assert picture.size == (64, 64)
        assert np.ptp(np.asarray(picture).astype(int), axis=2).max() > 40  # colour where it looked
    page = (run / "findings" / "findings.html").read_text()
    assert_no_raw_python(page)
    assert len(list(pictures(page))) == min(48, len(found))


def test_generator_is_no_classifier(monai_xr, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text(json.dumps({"settings": {"bundle": "chest_xray_dcgan"}}))
    for command in ("judge", "test"):
        code, _, error = monai_xr(command, "out", tmp_path)
        assert code == 6
        assert "the training of a generator, no classifier : out : monai-xr sample it" in error
