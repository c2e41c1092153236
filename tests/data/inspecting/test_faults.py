"""Codes, severities and counts of what is wrong in an archive; nothing that goes wrong in one file ends the work."""

import csv
import io
import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from monai_xr.data.files import key_file as deidentification_key
from monai_xr.data.inspecting import film_report, inspect_folder
from monai_xr.data.inspecting.faults import FAULTS, SEVERITIES, fault_of, worst_of
from monai_xr.errors import ConfigurationError, HostError, InputDataError
from monai_xr.progress import progress_bar

FREE_TEXT = ("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "Manufacturer", "ManufacturerModelName",
             "BodyPartExamined", "ViewPosition", "StationName", "AccessionNumber", "PatientOrientation")  # fmt: skip


@pytest.fixture
def archive(tmp_path: Path, dicom: Any, png: Any) -> Path:
    root = tmp_path / "films"
    shown = {"WindowCenter": 2048, "WindowWidth": 4096, "PixelSpacing": [0.2, 0.1], "BurnedInAnnotation": "NO"}
    dicom(root / "JANE_DOE" / "good.dcm", 1, BodyPartExamined="KNEE", Manufacturer="ACME", **shown)
    dicom(root / "bare.dcm", 2, BodyPartExamined="KNEE", Manufacturer="Other")
    dicom(root / "bare2.dcm", 3, BodyPartExamined="KNEE", Manufacturer="ACME")
    (root / "cut.png").write_bytes(png(root / "whole.png").read_bytes()[:300])
    return root


def test_each_code_has_one_meaning_and_a_way_on() -> None:
    codes = [finding.code for finding in FAULTS]
    assert len(set(codes)) == len(codes)
    assert {"HDR_NO_WINDOW", "PIX_RANGE_UNUSED", "PIX_SATURATED"} <= set(codes)
    assert all(code.startswith(("FILE_", "HDR_", "PIX_")) for code in codes)
    assert {finding.severity for finding in FAULTS} == set(SEVERITIES)
    assert all(finding.done and fault_of(finding.begins) is finding for finding in FAULTS)
    assert worst_of(()) is None
    assert worst_of(("no window", "unreadable", "polarity doubtful")) == "error"
    with pytest.raises(KeyError):
        fault_of("nothing anybody says")


def test_findings_are_counted_the_worst_first(archive: Path) -> None:
    content = json.loads(inspect_folder(archive).to_json())
    found = {each["code"]: (each["severity"], each["films"]) for each in content["findings"]}
    assert found["FILE_UNREADABLE"] == ("error", 1)
    assert found["HDR_NO_WINDOW"] == found["HDR_NO_SPACING"] == found["PIX_BURNED_IN_UNKNOWN"] == ("note", 2)
    assert found["HDR_NOT_CHEST"] == ("warning", 3)
    order = [SEVERITIES.index(each["severity"]) for each in content["findings"]]
    assert order == sorted(order)
    assert {each["code"]: each["done"] for each in content["findings"]}["HDR_NO_WINDOW"].startswith("shown in full")
    codes = {film["file"]: film["codes"] for film in content["films"]}
    assert codes["JANE_DOE/good.dcm"] == ["HDR_NOT_CHEST"]
    assert codes["cut.png"] == ["FILE_UNREADABLE"]


def test_csv_has_a_row_a_film_and_technical_values_only(archive: Path) -> None:
    text = inspect_folder(archive).to_csv()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["film"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert [row["equipment"] for row in rows] == ["equipment 1", "equipment 2", "", "", "equipment 2"]
    good = rows[-1]
    assert (good["window"], good["row_spacing_mm"], good["bits"], good["body_part"]) == (
        "2048/4096",
        "0.2",
        "12",
        "other",
    )
    assert (good["severity"], good["findings"]) == ("warning", "HDR_NOT_CHEST")
    assert not [word for word in ("JANE", "good", ".png", "ACME", "ZZPHI", "P1") if word in text]


@pytest.mark.parametrize("keyword", FREE_TEXT)
def test_no_free_text_of_a_header_reaches_the_csv(tmp_path: Path, dicom: Any, keyword: str) -> None:
    value = "19010203" if "Date" in keyword else ["ZZPHI", "CANARY"] if keyword == "PatientOrientation" else "ZZPHI"
    dicom(tmp_path / "ZZPHI.dcm", **{keyword: value})
    inspection = inspect_folder(tmp_path)
    assert len(inspection.films) == 1
    assert "ZZPHI" not in inspection.to_csv()
    assert "19010203" not in inspection.to_csv()


def test_an_odd_exception_of_a_reader_costs_one_film(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = film_report.read_image

    def odd(path: Path, **settings: Any) -> Any:
        if path.name == "bare.dcm":
            raise ZeroDivisionError("ZZPHI")
        if path.name == "bare2.dcm":
            raise MemoryError
        return original(path, **settings)

    monkeypatch.setattr(film_report, "read_image", odd)
    inspection = inspect_folder(archive)
    reasons = {film.file: (film.problems[-1], film.reason) for film in inspection.films if film.reason}
    assert reasons["bare.dcm"] == ("the reader failed", "ZeroDivisionError")
    assert reasons["bare2.dcm"][1] == "too large for the memory of this machine"
    assert len(inspection.films) == 5
    assert "ZZPHI" not in inspection.to_json()


def test_an_odd_exception_of_a_header_costs_one_film(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = film_report.read_header

    def odd(path: Path) -> Any:
        if path.name == "bare.dcm":
            raise RecursionError
        return original(path)

    monkeypatch.setattr(film_report, "read_header", odd)
    assert [film.reason for film in inspect_folder(archive).films if film.file == "bare.dcm"] == ["RecursionError"]


def test_trouble_of_the_machine_ends_the_work(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise HostError("no child process can be started")

    monkeypatch.setattr(film_report, "read_image", full)
    with pytest.raises(HostError, match="no child process"):
        inspect_folder(archive)


def test_a_decoder_that_crashes_costs_one_film(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from monai_xr.dicom.sandbox.child import Worker

    original = Worker.read

    def crashing(worker: Worker, request: dict[str, Any], max_seconds: float) -> Any:
        if request["path"].endswith("bare.dcm"):
            os.kill(worker._process.pid, signal.SIGSTOP)
            threading.Timer(0.1, os.kill, (worker._process.pid, signal.SIGSEGV)).start()
            threading.Timer(0.2, os.kill, (worker._process.pid, signal.SIGCONT)).start()
        return original(worker, request, max_seconds)

    monkeypatch.setattr(Worker, "read", crashing)
    inspection = inspect_folder(archive, decode="isolated", workers=2)
    reasons = {film.file: film.reason for film in inspection.films if film.reason}
    assert "crashed" in reasons["bare.dcm"]
    assert "bare2.dcm" not in reasons


def test_isolated_finds_what_direct_finds(archive: Path) -> None:
    direct, isolated = (inspect_folder(archive, decode=decode) for decode in ("direct", "isolated"))
    assert isolated.films == direct.films


@pytest.mark.parametrize(
    ("settings", "message"), [({"decode": "quick"}, "'quick' : decode"), ({"workers": 0}, "0 workers : workers")]
)
def test_settings_that_cannot_be_are_refused(archive: Path, settings: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        inspect_folder(archive, **settings)


def test_progress_is_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("films", between_s=0) as progress:
        for done in range(1, 4):
            progress(done, 3)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["films: 1 of 3", "films: 2 of 3", "films: 3 of 3"]
    with progress_bar("films") as progress:
        progress(1, 1)
    assert capsys.readouterr().err == ""  # too short to be worth a line


def test_command_writes_json_and_csv_and_reads_isolated(archive: Path, tmp_path: Path, monai_xr: Any) -> None:
    read: list[str] = []
    original = film_report.read_image

    def noting(path: Path, **settings: Any) -> Any:
        read.append(settings["decode"])
        return original(path, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(film_report, "read_image", noting)
        code, out, error = monai_xr("inspect", archive, "--json", "a/found.json", "--csv", "a/found.csv")
    assert code == 0, error
    assert set(read) == {"isolated"}
    assert "HDR_NO_WINDOW" in out
    assert json.loads((tmp_path / "a" / "found.json").read_text())["findings"]
    assert (tmp_path / "a" / "found.csv").read_text().count("\n") == 6
    code, _, error = monai_xr("inspect", archive, "--decode", "quick")
    assert (code, "isolated or direct" in error) == (2, True)
    with pytest.raises(InputDataError):
        inspect_folder(tmp_path / "a").write_contact_sheet(tmp_path / "sheet.png")


def test_threads_that_need_the_key_at_once_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Barrier(8)
    original = deidentification_key.os.path.lexists

    def all_at_once(path: Path) -> bool:
        there = original(path)
        gate.wait()
        return there

    monkeypatch.setattr(deidentification_key.os.path, "lexists", all_at_once)
    with ThreadPoolExecutor(8) as pool:
        tags = list(pool.map(lambda _: deidentification_key.open_key(tmp_path / "site.key").tag("x"), range(8)))
    assert len(set(tags)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["site.key"]
