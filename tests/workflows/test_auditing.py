import csv
import json

import cv2
import numpy as np
import pytest

from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.workflows.auditing import Audit, Told, audit_folder


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Phantoms whose label has nothing to do with their source, as PNG with a manifest."""
    folder = tmp_path_factory.mktemp("films")
    write_phantom_studies(folder / "dicom", patients=60, size=64, findings=("NORMAL", "EFFUSION"))
    return folder / "dicom"


def as_png(folder, change=lambda pixels, label: pixels, **columns):
    """Noise films of two classes, each changed as told; columns of the manifest by label."""
    folder.mkdir()
    rng, rows = np.random.default_rng(0), []
    for place in range(80):
        label = ("NORMAL", "EFFUSION")[place % 2]
        pixels = cv2.GaussianBlur(rng.random((64, 64)), (0, 0), 6)
        pixels = np.interp(pixels, (pixels.min(), pixels.max()), (20, 235))
        cv2.imwrite(str(folder / f"{place}.png"), change(pixels, label).astype(np.uint8))
        told = {name: of[label] for name, of in columns.items()}
        rows.append({"image": f"{place}.png", "label": label, "patient_id": f"P{place}", "split": "train", **told})
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)
    return folder


@pytest.mark.slow  # phantoms are drawn
def test_phantoms_of_one_source_are_not_confounded(films):
    found = audit_folder(films, accept_phantoms=True)
    assert (found.verdict, found.patients) == ("no shortcut found", 60)
    assert {row.by for row in found.rows if row.what == "label"} >= {"thumbnails", "borders"}
    assert "does not show that there is none" in found.words()


def test_marker_at_the_border_of_one_class_is_found_and_one_at_random_is_not(tmp_path):
    rng = np.random.default_rng(1)

    def marked(pixels, wanted):
        pixels[1:4, 50:60] = 255 if wanted else pixels[1:4, 50:60]
        return pixels

    found = audit_folder(as_png(tmp_path / "of_class", lambda p, label: marked(p, label == "NORMAL")))
    assert found.verdict == "confounded"
    assert found.words().startswith("Confounded: borders tell NORMAL with AUROC ")
    assert found.shortcuts[0].auroc > 0.9  # how far above hangs on the deal of the patients, and that on the tests' key
    assert any("<- shortcut" in line for line in found.lines())
    found = audit_folder(as_png(tmp_path / "random", lambda p, label: marked(p, rng.random() < 0.5)))
    assert found.verdict == "no shortcut found"


def test_source_that_goes_with_the_label_is_found_in_the_table(tmp_path):
    source = {"NORMAL": "hospital A", "EFFUSION": "hospital B"}
    found = audit_folder(as_png(tmp_path / "films", source=source, view=dict.fromkeys(source, "PA")))
    assert [(row.by, row.auroc) for row in found.shortcuts] == [("source", 1.0)]
    assert {row.by for row in found.rows if row.what == "source"} == {"thumbnails", "borders"}
    assert not [row for row in found.rows if row.what == "view"]


def test_width_of_the_file_is_one_too(tmp_path):
    width = {"NORMAL": "1024", "EFFUSION": "2048"}
    found = audit_folder(as_png(tmp_path / "films", orig_width=width))
    assert {row.by for row in found.shortcuts} == {"file", "size"}


@pytest.mark.slow
def test_few_films_tell_nothing(films):
    found = audit_folder(films, split="val", accept_phantoms=True)
    assert found.verdict == "too few films to tell"
    assert found.words() == "Shortcuts: too few films to tell."


def test_luck_of_few_films_is_no_shortcut():
    row = Told("label", "A", "borders", 0.75, (0.45, 0.9))
    assert not row.is_shortcut
    assert Told("label", "A", "borders", 0.75, (0.6, 0.9)).is_shortcut
    assert not Told("label", "A", "thumbnails", 0.9, (0.8, 0.95)).is_shortcut
    assert not Told("view", "PA", "borders", 0.9, (0.8, 0.95)).is_shortcut
    kept = json.loads(json.dumps(Audit("confounded", 9, 9, (row,)).as_dict()))
    assert kept["rows"][0]["auroc"] == 0.75


def test_covid_and_normal_of_other_hospitals_are_confounded(real_data, monai_xr, tmp_path):
    manifest = real_data / "cxr" / "covid_radiography" / "manifest.csv"
    code, out, error = monai_xr("audit", manifest, "--split", "test", "--json", tmp_path / "audit.json")
    assert code == 0, error
    assert "Confounded: borders tell Normal with AUROC 0.7" in out or "AUROC 0.8" in out
    kept = json.loads((tmp_path / "audit.json").read_text())
    assert (kept["verdict"], kept["films"]) == ("confounded", 993)


def test_what_was_not_looked_at_is_told(tmp_path):
    as_png(tmp_path / "films")
    damaged = tmp_path / "films" / "2.png"
    damaged.write_bytes(damaged.read_bytes()[:40])
    found = audit_folder(tmp_path / "films")
    assert (found.films, list(found.left_out.values())) == (79, [1])
    assert list(found.lines())[1].startswith("left out 1: ")
    assert json.loads(json.dumps(found.as_dict()))["left_out"] == found.left_out
