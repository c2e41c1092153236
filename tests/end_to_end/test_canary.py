"""A canary patient through everything that writes: found in the source, found in no output.

Name, id, birth date and UIDs stand in the header, in nested sequences, a private group, an overlay, comments, file
meta, the preamble, the bits above the stored ones, and in the names of files and folders.
"""

import io
import json
import logging
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from canary import CANARIES, canary, film, put
from pydicom.dataset import Dataset

from monai_xr.cli import main
from monai_xr.data.deidentifying.deidentified_folder import encoded
from monai_xr.data.inspecting import inspect_folder
from monai_xr.data.pixel_store.building import build_store
from monai_xr.data.sources.finding import find_records
from monai_xr.workflows.bundle_running.bundles import run_bundle

BUNDLE = Path(__file__).parents[2] / "bundles" / "chest_xray_dcgan"
SMALL = {"batch_size": 4, "width": 4, "image_size": 32, "seed": 1, "max_epochs": 1}
OTHER_PART = "--accept-non-chest"  # BodyPartExamined is the name of the canary
pytestmark = pytest.mark.filterwarnings("ignore:.*resolved to an importable callable")


def canary_film(number: int, burned_in: str = "NO", *, also_where_no_name_belongs: bool = True) -> bytes:
    rng = np.random.default_rng(number)
    across = np.linspace(0, 3000, 64)[None] + rng.integers(0, 900, (64, 64))
    uids = {"SOPInstanceUID": f"1.9.190.3.{number}", "SeriesInstanceUID": f"1.9.190.2.{number % 5}"}
    ds = film(**uids, BurnedInAnnotation=burned_in, Rows=64, Columns=64, PixelData=None)
    ds.add_new(0x7FE00010, "OW", (across.astype(np.uint16) | 0x8000).tobytes() + b"ZZPHI^CANARY")
    ds.SpecificCharacterSet = "ISO_IR 192"
    for keyword in ("OtherPatientIDs", "PatientAddress", "ImageComments", "StudyDescription", "SeriesDescription",
                    "InstitutionName", "OperatorsName", "ProtocolName", "PatientComments", "DetectorID",
                    "AcquisitionDeviceProcessingDescription"):  # fmt: skip
        put(ds, keyword, "ZZPHI^CANARY")
    if also_where_no_name_belongs:
        put(ds, "Manufacturer", "made for Zzphi")
        put(ds, "BodyPartExamined", "CANARY")
        put(ds, "SoftwareVersions", "for Canary")
        put(ds, "SeriesNumber", "19010203")
        put(ds, "ExposureIndex", "19010203")
    request, inner = Dataset(), Dataset()
    inner.PatientName, inner.PatientBirthDate, inner.PatientID = "ZZPHI^CANARY", "19010203", "CANARY-1"
    request.ScheduledProcedureStepDescription, request.RequestedProcedureCodeSequence = "ZZPHI", [inner]
    ds.RequestAttributesSequence = [request]
    ds.OriginalAttributesSequence = canary("SQ")
    private = ds.private_block(0x0029, "ZZPHI CANARY", create=True)
    private.add_new(0x10, "LO", "CANARY-1")
    private.add_new(0x11, "SQ", canary("SQ"))
    ds.add_new(0x60000022, "LO", "ZZPHI^CANARY")
    ds.add_new(0x60003000, "OW", b"ZZPHI^CANARY")
    ds.file_meta.SourceApplicationEntityTitle = "ZZPHI"
    content = bytearray(encoded(ds))
    content[:12] = b"ZZPHI^CANARY"
    return bytes(content)


@pytest.fixture
def source(tmp_path):
    """Twelve films that may go, two that must wait, and files that are refused, all named after the patient."""
    root = tmp_path / "in" / "ZZPHI^CANARY 19010203"
    folder = root / "CANARY-1"
    folder.mkdir(parents=True)
    for number in range(12):
        (folder / f"ZZPHI^CANARY {number}.dcm").write_bytes(canary_film(number))
    (folder / "CANARY-1 scan.dcm").write_bytes(canary_film(20, "YES"))
    (folder / "CANARY-1 unknown.dcm").write_bytes(canary_film(21, ""))
    good = canary_film(30)
    for cut in (200, 700, 1500, len(good) - 3000):
        (folder / f"CANARY cut {cut}.dcm").write_bytes(good[:cut])
    twin = bytearray(canary_film(0))
    twin[-212] ^= 1  # a pixel of the same SOP Instance UID
    (folder / "CANARY twin.dcm").write_bytes(twin)
    wrong = pydicom.dcmread(io.BytesIO(good))
    wrong.SOPClassUID, wrong.Modality = "1.2.840.10008.5.1.4.1.1.2", "CANARY"
    (folder / "CANARY ct.dcm").write_bytes(encoded(wrong))
    huge = pydicom.dcmread(io.BytesIO(good))
    huge.Rows = 9000
    (folder / "CANARY huge.dcm").write_bytes(encoded(huge))
    (folder / "ZZPHI.png").write_bytes(b"\x89PNG\r\n\x1a\nZZPHI^CANARY")
    (folder / "ZZPHI.txt").write_text("ZZPHI^CANARY")
    (folder / "CANARY link").symlink_to(root)
    return root


@pytest.fixture
def command(monkeypatch, capsys, caplog):
    """Run the command line; give the exit code, and keep all that it says and logs."""
    caplog.set_level(logging.DEBUG)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["monai-xr", *map(str, arguments)])
        try:
            main()
        except SystemExit as stop:
            run.code = stop.code or 0
        else:
            run.code = 0
        told = capsys.readouterr()
        run.said.append(told.out + told.err + caplog.text)
        return run.code

    run.said = []
    return run


def found_in(folder: Path) -> list[str]:
    """Give the files below a folder that hold a word of the canary in their content or name."""
    words = (*CANARIES, *(word.decode().encode("utf-16-le") for word in CANARIES))
    found = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix().encode()
        content = path.read_bytes() if path.is_file() else b""
        if any(word in name or word in content for word in words):
            found.append(path.relative_to(folder).as_posix())
    return found


def assert_silent(command):
    for said in command.said:
        assert not [word for word in CANARIES if word.decode() in said], said


def test_the_search_finds_the_canary(source, tmp_path):
    assert len(found_in(tmp_path / "in")) > 20
    content = canary_film(1)
    assert all(word in content for word in CANARIES)


def test_deidentify_and_review(source, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("deidentify", source, "out", OTHER_PART) == 0
    assert "12 ready to use, 2 wait for review, 0 copies of another file, 10 refused" in command.said[-1]
    assert command("deidentify", source, "out", OTHER_PART, "--debug") == 0
    assert command("review", "out", "--sheets") == 0
    waiting = sorted(Path("out/quarantine").glob("*.dcm"))
    one, two = (path.stem for path in waiting)
    assert command("review", "out", "--release", one, "--reject", two[-8:], "--by", "Dr. Ada Byron") == 0
    assert "2 decisions recorded" in command.said[-1]
    assert "0 images wait" in command.said[-1]
    assert len(list(Path("out/images").rglob("*.dcm"))) == 13
    assert found_in(tmp_path / "out") == []
    assert "CANARY" not in Path("out.key").read_text()
    assert_silent(command)


def test_messages(source, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = tmp_path / "in" / "ZZPHI^CANARY"
    cases = [
        (("deidentify", named / "absent", "out"), 2),
        (("deidentify", source, source / "CANARY-1" / "out"), 2),
        (("deidentify", source / "CANARY-1" / "ZZPHI.txt", "out"), 2),
        (("deidentify", source, "out"), 3),
        (("deidentify", source, "out", OTHER_PART), 0),
        (("deidentify", source, "out", "--shift-dates"), 2),
        (("deidentify", source, "out", "--crosswalk", "out/who"), 2),
        (("review", "out", "--release", "ZZPHI", "--by", "AB"), 2),
        (("review", source), 2),
    ]
    (source.parent / "none" / "CANARY-1").mkdir(parents=True)
    (source.parent / "none" / "CANARY-1" / "ZZPHI.dcm").write_bytes(canary_film(3)[:700])
    cases.append((("deidentify", source.parent / "none", "out2"), 3))
    for arguments, code in cases:
        for debug in ((), ("--debug",)):
            assert command(*arguments, *debug) == code, arguments
            if not debug:
                assert_silent(command)
            command.said.clear()


def test_the_crosswalk_alone_names_the_files(source, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("deidentify", source, "out", OTHER_PART, "--crosswalk", "who.jsonl") == 0
    assert len(Path("who.jsonl").read_text().splitlines()) == 24
    assert found_in(tmp_path / "out") == []
    assert_silent(command)


def run_everything(data, folder, command):
    """Inspect, cache and train on a data folder; everything is written below `folder`."""
    json_file, sheet = folder / "inspection.json", folder / "sheet.png"
    assert command("inspect", data, "--json", json_file, "--sheet", sheet) == 0
    build_store(find_records(data), size=32, folder=folder / "cache", decode="isolated").verify()
    run_bundle(
        BUNDLE,
        "training",
        "train",
        {**SMALL, "dataset_dir": str(data), "output_dir": str(folder / "run"), "split": "none"},
    )
    assert (folder / "run" / "run.json").exists()
    assert (folder / "run" / "mlflow_run_id").exists()
    assert json.loads((folder / "run" / "run.json").read_text())["data"]["images"] == 12


def test_inspection_cache_and_training_after_deidentification(
    source, tmp_path, command, mlflow_store, monkeypatch, caplog
):
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store(folder / "runs"))
    assert command("deidentify", source, "out", OTHER_PART) == 0
    run_everything(folder / "out", folder, command)
    assert found_in(folder) == []
    assert_silent(command)


# Names of files, body part and manufacturer are shown by an inspection, and the index of the cache has the names.
@pytest.mark.parametrize(
    ("place", "is_absolute", "table"),
    [
        ("films", True, ""),
        ("ZZPHI^CANARY 19010203", True, ""),
        ("CANARY-1/x", False, ""),
        ("zzphi/CANARY, ZZ", False, "image,label,patient_id,split"),
    ],
)
def test_inspection_cache_and_training_keep_headers_to_themselves(
    tmp_path, command, mlflow_store, monkeypatch, caplog, place, is_absolute, table
):
    data, folder = Path("in") / place, tmp_path / "work"
    monkeypatch.chdir(tmp_path)
    data.mkdir(parents=True)
    folder.mkdir()
    for number in range(12):
        (data / f"{number}.dcm").write_bytes(canary_film(number, also_where_no_name_belongs=False))
    (data / "cut.dcm").write_bytes(canary_film(30, also_where_no_name_belongs=False)[:700])
    if table:
        rows = "".join(f"{number}.dcm,,{number},train\n" for number in range(12))
        (data / "manifest.csv").write_text(f"{table}\n{rows}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store(folder / "runs"))
    given = tmp_path / data if is_absolute else data
    run_everything(given, folder, command)
    inspect_folder(data)
    command.said.append(caplog.text)
    assert found_in(folder) == []
    shown = json.loads((folder / "run" / "run.json").read_text())["settings"]["dataset_dir"]
    assert ("~" in shown) is (place != "films")
    assert_silent(command)


def test_a_preparation_names_nobody(source, tmp_path, command):
    """Two runs, since the second one knows the films without opening them."""
    for number, name in enumerate(("Doe^Jane", "Roe^Rita")):
        folder = tmp_path / "in" / name.replace("^", "")
        folder.mkdir()
        other = pydicom.dcmread(io.BytesIO(canary_film(40 + number)))
        other.PatientName, other.PatientID, other.BodyPartExamined = name, f"47110{number}", "CHEST"
        (folder / f"47110{number}.dcm").write_bytes(encoded(other))
    for _ in range(2):
        assert command("prepare", tmp_path / "in", tmp_path / "out", "--size", 32, OTHER_PART) == 0
        assert found_in(tmp_path / "out") == []
        for path in (path for path in (tmp_path / "out").rglob("*.[chj]*") if path.is_file()):
            assert not [word for word in ("Jane", "Rita", "Roe", "47110") if word in path.read_text()], path
    assert_silent(command)
