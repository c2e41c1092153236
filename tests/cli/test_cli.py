"""What a user sees when something is wrong: one line, the right exit code, nothing half-written."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from monai_xr.data.images.png import write_png
from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.runs import GeneratedImages

TINY = ["--accept_phantoms", "true", "--max_epochs", "1", "--batch_size", "4", "--width", "4", "--image_size", "32"]

TABLE_II = Path(__file__).parents[2] / "bundles" / "chest_xray_dcgan" / "configs" / "table_ii.yaml"


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "phantoms"
    write_phantom_studies(folder, patients=15, seed=0, size=64)
    return folder


def last_line(text):
    return text.strip().splitlines()[-1]


def train(run, data, *more):
    return run("train", "chest_xray_dcgan", "--dataset_dir", data, "--output_dir", "out", "--track", "false", *more)


def test_misspelt_knob_names_the_nearest(monai_xr, phantoms):
    code, _, error = train(monai_xr, phantoms, "--max_epocs", "3")
    assert code == 2
    assert last_line(error) == "monai_xr: error: no such setting : max_epocs : did you mean max_epochs?"


def test_misspelt_nested_knob_names_the_nearest(monai_xr, phantoms):
    code, _, error = train(monai_xr, phantoms, "--train::trainer::max_epoch", "3")
    assert code == 2
    assert "did you mean max_epochs?" in error


def test_argument_that_a_component_has_and_the_config_leaves_out_can_be_set(monai_xr, phantoms, tmp_path):
    code, _, error = train(
        monai_xr, phantoms, *TINY, "--train::trainer::critic_steps", "2", "--generator#max_width", "4"
    )
    assert code == 0, error
    parameters = json.loads((tmp_path / "out" / "run.json").read_text())["parameters"]
    assert parameters["generator"] == 6404 + 2 * 260 + 65 + 3 * 8  # projection, two stages, head, three batch norms


def test_unknown_bundle_names_the_nearest(monai_xr):
    code, _, error = monai_xr("train", "chest_xray_dcgn")
    assert code == 2
    assert "did you mean chest_xray_dcgan?" in error


def test_knob_without_value(monai_xr):
    code, _, error = monai_xr("train", "chest_xray_dcgan", "--seed")
    assert code == 2
    assert "setting without a value : seed" in error


TYPED = """
import json, sys
from monai_xr.cli import main
for typed in json.loads(sys.argv[1]):
    sys.argv = ["monai-xr", "train", "chest_xray_dcgan", *typed]
    try:
        main()
    except SystemExit as left:
        print(left.code, sorted({"torch", "monai"} & set(sys.modules)))
"""


def test_typos_are_told_before_anything_heavy_is_loaded(tmp_path):
    """In a process of its own: neither torch nor MONAI is loaded when the lines are written."""
    (tmp_path / "films" / "NORMAL").mkdir(parents=True)
    write_png(tmp_path / "films" / "NORMAL" / "a.png", np.eye(32, dtype=np.float32), {})
    expected = (
        (["--max_epocs", "3"], "did you mean max_epochs?"),
        (["--dataset_dir", "nowhere"], "data folder does not exist : nowhere"),
        (["--dataset_dir", "films", "--classes", "NORMALL"], "did you mean 'NORMAL'?"),
        (["--seed", "abc"], "'abc' is not a whole number : seed"),
        (["--overlay", "none.yaml"], "no such config file : none.yaml"),
    )
    command = [sys.executable, "-c", TYPED, json.dumps([typed for typed, _ in expected])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout.splitlines() == ["2 []"] * 5
    lines = [line for line in done.stderr.splitlines() if line.startswith("monai_xr: error: ")]
    assert all(told in line for line, (_, told) in zip(lines, expected, strict=True)), done.stderr


def test_missing_data_folder(monai_xr, tmp_path):
    code, _, error = train(monai_xr, tmp_path / "nowhere")
    assert code == 2
    assert "nowhere" in last_line(error)
    assert str(tmp_path) not in error
    assert not (tmp_path / "out").exists()


def test_empty_data_folder(monai_xr, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, error = train(monai_xr, tmp_path / "empty")
    assert code == 3
    assert "no PNG/JPEG/DICOM image (0 files seen) : empty" in error


def test_nothing_readable_names_each_file_with_its_reason(monai_xr, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "page.dcm").write_text("<html><body>404</body></html>")
    (folder / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 20)
    code, _, error = train(monai_xr, folder, "--split", "none")
    assert code == 3
    assert "cut.png" in error
    assert "page.dcm" in error
    assert last_line(error).startswith("monai_xr: error: none of 1 images can be used")


def test_phantoms_are_not_real_data_unless_accepted(monai_xr, phantoms):
    code, _, error = train(monai_xr, phantoms)
    assert code == 3
    assert "phantom" in error


def test_batch_larger_than_the_data_set_is_as_large_as_it(monai_xr, phantoms, tmp_path):
    code, out, error = train(monai_xr, phantoms, *TINY, "--batch_size", "500")
    assert code == 0, error
    images = json.loads((tmp_path / "out" / "run.json").read_text())["data"]["images"]
    batch = images - images % 4  # as a multiple of 4 as was asked for
    assert f"the data set has {images} images: a batch is {batch}, not 500" in error
    assert f"{images} images are enough to see a training run, no more" in error
    assert f"1: 1 epoch of 1, batches of {batch}" in out


def test_five_films_train(monai_xr, phantoms, tmp_path):
    (tmp_path / "five" / "A").mkdir(parents=True)
    for place, film in enumerate(sorted(phantoms.rglob("*.dcm"))[:5]):
        (tmp_path / "five" / "A" / f"{place}.dcm").write_bytes(film.read_bytes())
    more = ("--split", "none", "--batch_size", "64", "--measure_every", "1")
    code, out, error = train(monai_xr, "five", *TINY, *more)
    assert code == 0, error
    assert "5 images are enough to see a training run, no more" in error
    assert "films       5 A; split all" in out


@pytest.mark.parametrize(
    ("knob", "value", "told"),
    [
        ("image_size", "100", "one of [32, 64, 128, 256, 512]"),
        ("device", "cuda:7", "CUDA devices found"),
        ("precision", "int4", "auto, float32"),
        ("resume", "maybe", "neither true nor false"),
        ("aiin", "clahe2", "exact"),
        ("classes", "NORMALL", "NORMAL"),
        ("max_epochs", "0", "at least 1"),
        ("max_epochs", "1.5", "1.5 is not a whole number of at least 1 : max_epochs"),
        ("ema_decay", "2", "ema_decay"),
        ("batch_size", "-1", "at least 1"),
        ("seed", "abc", "whole number"),
        ("seed", "-1", "at least 0"),
        ("width", "0", "at least 1"),
        ("learning_rate", "-1", "Adam refuses its arguments (Invalid learning rate: -1)"),
        ("width", "3.5", "DCGANGenerator refuses its arguments"),
    ],
)
def test_impossible_values(monai_xr, phantoms, knob, value, told):
    code, _, error = train(monai_xr, phantoms, *TINY, f"--{knob}", value)
    assert code == 2
    assert told in last_line(error)


def test_output_that_cannot_be_written(monai_xr, phantoms, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, error = monai_xr(
        "train", "chest_xray_dcgan", "--dataset_dir", phantoms, "--output_dir", "file/out", "--track", "false", *TINY
    )
    assert code == 4
    assert "Traceback" not in error


def test_older_package_than_the_bundle_needs(monai_xr, phantoms, monkeypatch):
    monkeypatch.setattr("monai_xr.workflows.bundle_running.bundle_folders.version", lambda package: "0.9")
    code, _, error = train(monai_xr, phantoms)
    assert code == 2
    assert "the bundle needs monai>=1.6.1, found 0.9 : chest_xray_dcgan : pip install 'monai>=1.6.1'" in error


@pytest.mark.parametrize("spelling", ["--image_size", "--image-size"])
def test_both_spellings_of_an_option(monai_xr, phantoms, spelling):
    code, _, error = train(monai_xr, phantoms, *TINY, spelling, "100")
    assert (code, "one of [32, 64, 128, 256, 512]" in error) == (2, True)
    code, _, error = monai_xr("evaluate", "real", "nowhere", spelling, "32")
    assert (code, "nowhere" in error) == (2, True)  # the option was taken, the folder was not
    code, _, error = monai_xr("prepare", "nowhere", "out", spelling.replace("image", "max").replace("size", "bad"), "1")
    assert (code, "nowhere" in error) == (2, True)


@pytest.mark.parametrize("name", ["2026", "1e3", "@films", "$films", "%films", "films#2", "None", "[1]", "it's"])
def test_folders_are_text_whatever_they_are_called(monai_xr, phantoms, tmp_path, name):
    (tmp_path / name).symlink_to(phantoms)
    code, _, error = monai_xr(
        "train", "chest_xray_dcgan", "--dataset_dir", name, "--output_dir", f"{name}_out", "--track", "false", *TINY
    )
    assert code == 0, error
    assert json.loads((tmp_path / f"{name}_out" / "run.json").read_text())["settings"]["dataset_dir"] == name
    code, _, error = monai_xr("sample", f"{name}_out", "--count", "2", "--synthetic_dir", f"{name}_images")
    assert code == 0, error
    assert len(list((tmp_path / f"{name}_images").glob("*.png"))) == 2


@pytest.mark.parametrize("name", ["1e3", "2024", "@bones", "$bones"])
def test_classes_are_text_whatever_they_are_called(monai_xr, phantoms, tmp_path, name):
    for label, folder in ((name, "0"), ("other", "1")):
        for index, film in enumerate(sorted(phantoms.rglob("*.dcm"))[:4]):
            copy = tmp_path / "films" / label / f"{folder}{index}.dcm"
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(film.read_bytes())
    code, _, error = train(monai_xr, "films", *TINY, "--classes", name, "--split", "none")
    assert code == 0, error
    assert json.loads((tmp_path / "out" / "run.json").read_text())["data"]["images_per_class"] == {name: 4}


def test_sampling_a_folder_without_training(monai_xr, tmp_path):
    code, _, error = monai_xr("sample", tmp_path)
    assert code == 6
    assert "no training recorded here" in error


def test_train_then_sample_then_evaluate(monai_xr, phantoms, tmp_path):
    code, _, error = train(monai_xr, phantoms, *TINY, "--aiin", "{'mode': 'exact', 'clip_limit': 7}")
    assert code == 0, error
    code, out, error = monai_xr("sample", "out", "--count", "12")
    assert code == 0, error
    assert "next: monai-xr evaluate FOLDER out/synthetic " in out
    written = sorted(path.name for path in (tmp_path / "out" / "synthetic").iterdir())
    assert written[:3] == ["000000.dcm", "000000.png", "000001.dcm"]
    ds = pydicom.dcmread(tmp_path / "out" / "synthetic" / "000000.dcm")
    assert (ds.SyntheticData, ds.PatientID[:6], ds.BurnedInAnnotation) == ("YES", "SYNTH-", "YES")
    assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    first = (tmp_path / "out" / "synthetic" / "000000.png").read_bytes()
    code, out, error = monai_xr("sample", "out", "--count", "2")
    assert (code, "these are new ones, from seed 1, in synthetic-2" in out) == (0, True)
    assert (tmp_path / "out" / "synthetic" / "000000.png").read_bytes() == first
    assert (tmp_path / "out" / "synthetic-2" / "000000.png").read_bytes() != first
    code, _, error = monai_xr("sample", "out", "--synthetic-dir", "out/synthetic")
    assert (code, last_line(error)) == (
        2,
        "monai_xr: error: folder already holds images : synthetic : choose another with --synthetic_dir, "
        "or leave it out for a new one",
    )
    code, out, error = monai_xr("sample", "out", "--count", "2", "--synthetic-dir", "elsewhere")
    assert code == 0, error
    behind = [GeneratedImages(tmp_path / name).settings() for name in ("out", "elsewhere")]
    assert behind[0] == behind[1]
    assert (behind[1]["image_size"], behind[1]["aiin"]["clip_limit"]) == (32, 7)
    code, _, error = train(monai_xr, tmp_path / "out" / "synthetic", *TINY)
    assert (code, "generated" in error) == (3, True)
    code, out, error = monai_xr("pack", "out", "packed")
    assert code == 0, error
    assert out.startswith("packed/models/model.pt (0.")
    code, out, error = monai_xr("evaluate", phantoms, "out/synthetic", "--output", "report")  # as in the training
    assert code == 0, error
    assert "MS-SSIM" in out
    assert "report: report/report.html" in out
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000
    measures = json.loads((tmp_path / "report" / "measures.json").read_text())
    assert measures["settings"]["image_size"] == "32 x 32"  # as in the training beside the images
    assert measures["counts"]["synthetic"] == 12  # no grid of the training among them


def test_refused_resume_spoils_nothing_and_tells_it_in_one_line(monai_xr, phantoms, tmp_path):
    assert train(monai_xr, phantoms, *TINY)[0] == 0
    records = [tmp_path / "out" / name for name in ("config.yaml", "run.json", "metrics.jsonl")]
    before = [path.read_bytes() for path in records]
    code, _, error = train(monai_xr, phantoms, *TINY, "--max_epochs", "3", "--resume", "true", "--image_size", "64")
    assert code == 2
    assert "image_size was 32 when the training stopped and is 64 now" in last_line(error)
    assert error.count("image_size was 32") == 1  # no other line tells it again
    assert [path.read_bytes() for path in records] == before


def test_sampling_takes_the_network_of_an_overlay(monai_xr, phantoms, tmp_path):
    code, _, error = train(monai_xr, phantoms, *TINY, "--overlay", TABLE_II)
    assert code == 0, error
    code, _, error = monai_xr("sample", "out", "--count", "2")
    assert code == 0, error
    assert len(list((tmp_path / "out" / "synthetic").glob("*.png"))) == 2


def test_inspect_tells_counts_and_problems_and_writes_json_and_sheet(monai_xr, phantoms, tmp_path):
    code, out, error = monai_xr("inspect", phantoms, "--json", "found.json", "--sheet", "sheet.png")
    assert code == 0, error
    assert "MONOCHROME1" in out
    assert '"origin"' in (tmp_path / "found.json").read_text()
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_inspect_of_a_missing_folder(monai_xr):
    code, _, error = monai_xr("inspect", "nowhere")
    assert code == 2
    assert "nowhere" in last_line(error)


def test_unknown_subcommand_and_missing_argument_are_usage_errors(monai_xr):
    assert monai_xr("trane")[0] == 2
    assert monai_xr("train")[0] == 2


def test_aiin_writes_images_and_the_picture(monai_xr, phantoms, tmp_path):
    code, out, error = monai_xr("aiin", phantoms, "normalised", "--accept-phantoms", "--mode", "exact", "--bits", "12")
    assert code == 0, error
    assert "skipped labels.csv" in out
    assert len(list((tmp_path / "normalised").rglob("*.png"))) >= 15
    assert (tmp_path / "normalised" / "aiin.png").stat().st_size > 10_000


def test_aiin_refuses_a_missing_file_before_it_loads_anything(monai_xr):
    code, _, error = monai_xr("aiin", "absent.dcm", "normalised")
    assert (code, error.startswith("monai_xr: error: no such file or folder : absent.dcm")) == (2, True)


def test_aiin_refuses_a_negative_threshold(monai_xr, phantoms):
    code, _, error = monai_xr("aiin", phantoms, "normalised", "--clip-limit", "-1")
    assert code == 2
    assert "-1" in last_line(error)


def test_debug_shows_where_a_training_failed(monai_xr, phantoms):
    knobs = [*TINY, "--learning_rate", "1e30", "--precision", "float32", "--max_epochs", "3"]
    code, _, error = train(monai_xr, phantoms, *knobs, "--debug")
    assert code == 7
    assert "Traceback" in error
    assert "not finite in iteration" in last_line(error)
