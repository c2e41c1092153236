"""The app without MONAI Deploy: what it imports, prints and ends with."""

import json
import os
import re
import shutil
import sys
import types
from pathlib import Path

import pydicom
import pytest
from deploy.known import phantom_film
from test_imports import imported

from monai_xr.deploy import entry
from monai_xr.deploy.core.command import main, phantoms_accepted, records_file, shown_name
from monai_xr.deploy.core.model import sealed
from monai_xr.deploy.core.results import Instance
from monai_xr.deploy.entry import run_app

HEAVY = {
    "torch",
    "monai",
    "ignite",
    "mlflow",
    "matplotlib",
    "pandas",
    "timm",
    "torchvision",
    "holoscan",
    "numba",
    "rich",
}

PHANTOM = "film.dcm: not processed: a phantom, not a film of a patient; --accept-phantoms lets it in\n"


@pytest.fixture
def app(models, tmp_path, capsys):
    """Run the app on the folder `in`; give exit code, output and error text."""

    def run(*more, model=models):
        try:
            run_app(["--plain", "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", str(model), *more])
            code = 0
        except SystemExit as stopped:
            code = stopped.code
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def graph(monkeypatch):
    """Stand where the operators of MONAI Deploy are; what the app writes to the environment ends with the test."""
    module = types.ModuleType("operators")
    monkeypatch.setitem(sys.modules, "monai_xr.deploy.operators", module)
    monkeypatch.setattr(entry, "_give_stack", lambda: None)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    return module


def test_film_is_told_and_its_results_written(app, tmp_path):
    phantom_film(tmp_path / "in" / "film.dcm")
    code, out, err = app("--accept-phantoms")
    assert (code, err) == (0, "")
    assert out.startswith("film.dcm: NORMAL 0.")
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_environment_of_a_map_gives_the_folders(models, tmp_path, monkeypatch, capsys):
    phantom_film(tmp_path / "in" / "film.dcm")
    for name, value in (("INPUT", tmp_path / "in"), ("OUTPUT", tmp_path / "out"), ("MODEL", models)):
        monkeypatch.setenv(f"HOLOSCAN_{name}_PATH", str(value))
    monkeypatch.setenv("MONAI_XR_ACCEPT_PHANTOMS", "true")
    main([])
    assert "film.dcm: NORMAL" in capsys.readouterr().out


def test_phantom_is_refused_by_a_report_unless_it_is_wanted(app, tmp_path):
    phantom_film(tmp_path / "in" / "film.dcm")
    assert app()[:2] == (0, PHANTOM)
    (report,) = (tmp_path / "out").iterdir()
    assert report.name.startswith("SR-")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "no file in it : in"),
        ({"notes.txt": b"seen"}, "no study (no DICOM file (text)) : in"),
        ({"cut.dcm": bytes(128) + b"DICM" + bytes(40)}, "no study ("),
        (None, "no such folder : in : name the folder of a study with -i"),
    ],
    ids=["empty", "text", "corrupt", "absent"],
)
def test_folder_without_a_study_is_one_line_and_exit_code_3(app, tmp_path, files, told):
    if files is not None:
        (tmp_path / "in").mkdir()
    for name, content in (files or {}).items():
        (tmp_path / "in" / name).write_bytes(content)
    code, _, err = app()
    assert code == 3
    assert err.startswith("monai_xr: error: " + told)
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_network_that_is_not_the_exported_one_is_refused(app, models, tmp_path):
    phantom_film(tmp_path / "in" / "film.dcm")
    shutil.copytree(models, tmp_path / "models")
    network = tmp_path / "models" / "brightness" / "model.onnx"
    whole = network.read_bytes()
    network.write_bytes(whole[:-1] + b"x")
    code, _, err = app(model=tmp_path / "models")
    assert (code, err) == (6, "monai_xr: error: not the network that was exported : model.onnx : export it again\n")
    network.write_bytes(whole)
    about = network.with_name("model.json")
    about.write_text(json.dumps(sealed({**json.loads(about.read_text()), "decision": {}})))
    code, _, err = app(model=tmp_path / "models")
    assert (code, err) == (6, "monai_xr: error: no exported model (KeyError) : model.json : export it again\n")
    assert not (tmp_path / "out").exists()


def test_settings_that_were_edited_are_refused(app, models, tmp_path):
    phantom_film(tmp_path / "in" / "film.dcm")
    shutil.copytree(models, tmp_path / "models")
    about = tmp_path / "models" / "brightness" / "model.json"
    exported = about.read_text()
    about.write_text(json.dumps(json.loads(exported), indent=4))  # another layout of the same
    assert app("--accept-phantoms", model=tmp_path / "models")[0] == 0
    about.write_text(exported.replace("0.7", "0.9"))
    told = "not the settings that were exported : model.json : export it again"
    assert app(model=tmp_path / "models") == (6, "", f"monai_xr: error: {told}\n")


def test_results_that_cannot_be_written_are_exit_code_4(app, tmp_path):
    phantom_film(tmp_path / "in" / "film.dcm")
    (tmp_path / "out").write_text("a file")
    code, _, err = app("--accept-phantoms")
    assert code == 4
    assert "out" in err


@pytest.mark.parametrize("way", [["--plain"], []], ids=["plain", "monai_deploy"])
def test_debug_shows_the_traceback_of_what_nobody_expected(tmp_path, monkeypatch, capsys, graph, way):
    def fail(*_):
        raise RuntimeError("seven")

    (tmp_path / "in").mkdir()
    monkeypatch.setattr("monai_xr.deploy.core.model.load_model", fail)
    graph.run_graph = fail
    for debug in ([], ["--debug"]):
        with pytest.raises(SystemExit, match="1"):
            run_app([*way, "-i", str(tmp_path / "in"), *debug])
        err = capsys.readouterr().err
        assert ("Traceback" in err) == bool(debug)
        assert err.endswith("monai_xr: error: unexpected RuntimeError: seven : run again with --debug and report it\n")


@pytest.mark.parametrize("way", [["--plain"], []], ids=["plain", "monai_deploy"])
def test_help_has_a_line_for_each_option(capsys, graph, way):
    with pytest.raises(SystemExit, match="0"):
        run_app([*way, "--help"])
    told = capsys.readouterr().out
    for option in ("-i", "-o", "-m", "--plain", "--records", "--accept-phantoms", "--debug"):
        assert re.search(rf"^  {option}\b.*\s{{2,}}[a-z]", told, re.M), option


def test_options_of_the_app_reach_monai_deploy_by_the_environment(tmp_path, monkeypatch, graph):
    (tmp_path / "in").mkdir()
    given = ["-i", str(tmp_path / "in"), "--records", str(tmp_path / "films.jsonl"), "--accept-phantoms"]
    graph.run_graph = lambda argv: graph.__dict__.update(argv=argv[1:], environment=dict(os.environ))
    run_app([*given, "--workdir", "there"])
    assert graph.argv == ["--workdir", "there", "-l", "ERROR"]
    assert graph.environment["HOLOSCAN_INPUT_PATH"] == str(tmp_path / "in")
    assert (records_file(), phantoms_accepted()) == (tmp_path / "films.jsonl", True)


def test_records_that_cannot_be_written_are_told_before_any_film_is_judged(app, tmp_path):
    phantom_film(tmp_path / "in" / "film.dcm")
    (tmp_path / "a_file").write_text("")
    for path, reason in (
        (tmp_path, "Is a directory"),
        (tmp_path / "a_file" / "below" / "films.jsonl", "Not a directory"),
    ):
        code, out, err = app("--accept-phantoms", "--records", str(path))
        told = f"film records cannot be written ({reason}) : {path.name} : name another file with --records"
        assert (code, out, err) == (4, "", f"monai_xr: error: {told}\n")
    assert not (tmp_path / "out").exists()


def test_printed_lines_name_nobody(app, tmp_path):
    names = ("synth_1.dcm", "a\nb.dcm", "IM7.dcm")  # the phantom is SYNTH-1
    for name in names:
        phantom_film(tmp_path / "in" / name, key=name)
    (tmp_path / "in" / "Doe_John.txt").write_text("seen")
    code, out, _ = app("--accept-phantoms")
    begun = [line.partition(":")[0] for line in out.splitlines()]
    assert (code, begun) == (0, ["IM7.dcm", "study 1, file 2", "study 1, file 3", "no study, file 1"])


@pytest.mark.parametrize(
    ("name", "patient", "shown"),
    [
        ("film.dcm", {"PatientName": "Doe^John"}, "film.dcm"),
        ("JohnDoe7.dcm", {"PatientName": "Doe^John"}, ""),
        ("Müller.dcm", {"PatientName": "Mueller^Eva"}, ""),
        ("IM12345.dcm", {"PatientID": "0012345"}, ""),
        ("film.dcm", {}, ""),  # nothing to compare with
    ],
)
def test_a_file_name_is_shown_where_its_header_tells_that_it_names_nobody(name, patient, shown):
    header = pydicom.Dataset()
    for keyword, value in patient.items():
        setattr(header, keyword, value)
    assert shown_name(Instance(Path(name), header)) == shown


def test_many_studies_take_one_loaded_model(app, tmp_path, monkeypatch):
    import onnxruntime

    loads = []
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *a, **k: loads.append(1) or real(*a, **k))
    for number in range(5):
        phantom_film(tmp_path / "in" / f"{number}.dcm", study_key=str(number))
    code, out, _ = app("--accept-phantoms")
    reports = [pydicom.dcmread(path) for path in (tmp_path / "out").glob("SR*")]
    assert (code, out.count("\n"), len({each.StudyInstanceUID for each in reports}), loads) == (0, 5, 5, [1])


def test_app_without_monai_deploy_takes_no_torch_and_compiles_nothing(models, tmp_path):
    phantom_film(tmp_path / "in" / "film.dcm")
    arguments = ["--plain", "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", str(models)]
    code = f"from monai_xr.deploy.entry import run_app; run_app({[*arguments, '--accept-phantoms']})"
    assert not imported(code)[1] & HEAVY
