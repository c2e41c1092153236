"""What an app writes of a study: validity, codes, references, marks. Oracles: dciodvfy, dsrdump, highdicom."""

import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from deploy.known import phantom_film, write_model
from films import film_dataset, save_film
from pydicom.sr.codedict import codes

from monai_xr.deploy.core import load_model, read_study, run_folder, select
from monai_xr.deploy.core.report import status_of
from monai_xr.deploy.core.results import Finding, JudgedFilm, StudyResult
from monai_xr.dicom import read_xray
from monai_xr.errors import HostError

TOO_NEW = re.compile(r"\(0x0008,0x001c\)")  # Synthetic Data of 2023, which the dictionary of Debian's tool has not
JUDGED = ["OT", "PR", "SR"]


def tool(name):
    found = shutil.which(name)
    if found is None:
        assert os.environ.get("CI") != "true", "CI must install dicom3tools and dcmtk"
        pytest.skip(f"{name} is not installed")
    return found


def patient_film(path: Path, **tags):
    """A CR film of a made-up patient."""
    rows, columns = np.mgrid[0:120, 0:100]
    pixels = (rows * 20 + columns * 10).astype(np.uint16)
    known = {
        "PatientName": "Müller^Änne", "SpecificCharacterSet": "ISO_IR 100", "PatientID": "4711",
        "BodyPartExamined": "CHEST", "ViewPosition": "PA", "StudyDate": "20240102", "AccessionNumber": "A1", "bits": 12,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    return save_film(path, film_dataset(pixels, **known | tags), pixels.tobytes())


def written(folder, kind=""):
    found = [pydicom.dcmread(path) for path in sorted(folder.glob(f"{kind}*.dcm"))]
    return sorted(found, key=lambda ds: ds.Modality)


@pytest.fixture(scope="module")
def judged(model, tmp_path_factory):
    """The result of a study of a PA and a lateral film of a patient, and its folder."""
    root = tmp_path_factory.mktemp("judged")
    patient_film(root / "in" / "pa.dcm")
    patient_film(root / "in" / "lateral.dcm", ViewPosition="LL", SOPInstanceUID="1.2.3.5")
    (result,) = run_folder(root / "in", model, root / "out")
    return result, root


def contents(report, name):
    """All values of content items of one name."""
    found = []
    for item in report.get("ContentSequence", ()):
        if item.ConceptNameCodeSequence[0].CodeMeaning == name:
            found.append(item)
        found += contents(item, name)
    return found


def test_findings_follow_from_the_pixels(judged):
    result, root = judged
    film = read_xray(root / "in" / "pa.dcm").pixels
    logit = 4 * (2 * film.mean() - 1)  # by the network of the test, of the resized film
    expected = 1 / (1 + np.exp(-2 * logit / 2.0))  # softmax of two, temperature 2
    (judged_film,) = result.films
    told = {each.name: each for each in judged_film.findings}
    assert told["PNEUMONIA"].probability == pytest.approx(expected, abs=1e-3)
    assert told["NORMAL"].probability == pytest.approx(1 - told["PNEUMONIA"].probability)
    assert (told["PNEUMONIA"].threshold, told["PNEUMONIA"].decision, told["NORMAL"].decision) == (0.3, "yes", "no")
    assert [each.file for each in result.not_processed] == ["lateral.dcm"]


def test_all_objects_are_valid(judged, tmp_path, model):
    validator = tool("dciodvfy")
    phantom_film(tmp_path / "in" / "phantom.dcm")
    list(run_folder(tmp_path / "in", model, tmp_path / "phantom", accept_phantoms=True))
    list(run_folder(tmp_path / "in", model, tmp_path / "refused"))
    files = [*(judged[1] / "out").iterdir(), *(tmp_path / "phantom").iterdir(), *(tmp_path / "refused").iterdir()]
    assert len(files) == 3 + 3 + 1
    for path in files:
        found = subprocess.run([validator, path], capture_output=True, text=True, check=False).stderr
        errors = [line for line in found.splitlines() if line.startswith("Error")]
        assert [line for line in errors if not TOO_NEW.search(line)] == [], found


def test_report_tells_the_algorithm_and_that_nobody_has_looked_at_it(judged):
    report = written(judged[1] / "out")[2]
    assert report.SOPClassUID == pydicom.uid.Comprehensive3DSRStorage
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert report.SeriesDescription == "AI findings - RESEARCH USE ONLY"
    (name, *_), (version, *_) = contents(report, "Algorithm Name"), contents(report, "Algorithm Version")
    assert name.TextValue == "brightness (research use only)"
    assert version.TextValue == "0.1.0 abababababab"
    (kind,) = contents(report, "Observer Type")
    assert kind.ConceptCodeSequence[0].CodeMeaning == "Device"
    (equipment,) = report.ContributingEquipmentSequence
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "123110"


def test_report_tells_probability_and_presence_of_each_class(judged):
    report = highdicom.sr.srread(judged[1] / "out" / f"SR-{written(judged[1] / 'out')[2].SOPInstanceUID}.dcm")
    groups = report.content.get_image_measurement_groups()
    status, *findings = groups
    (told,) = status.get_qualitative_evaluations(codes.DCM.CADProcessingAndFindingsSummary)
    assert told.value == codes.cid6047.AllAlgorithmsSucceededWithFindings
    by_code = {each.finding_type.value: each for each in findings}
    assert by_code.keys() == {"17621005", "233604007"}  # SNOMED CT: normal, pneumonia
    (result,) = judged[0].films
    for finding, code, presence in zip(
        result.findings, ("17621005", "233604007"), ("2667000", "52101004"), strict=True
    ):
        (number,) = by_code[code].get_measurements(codes.DCM.Probability)
        assert (number.value, number.unit) == (pytest.approx(finding.probability, abs=1e-6), codes.UCUM.NoUnits)
        (said,) = by_code[code].get_qualitative_evaluations()
        assert (said.name.value, said.value.value) == (code, presence)
        (source,) = by_code[code].source_images
        assert source.referenced_sop_instance_uid == "1.2.3.4"


def test_report_is_shown_by_dcmtk_with_the_name_of_the_patient(judged):
    show = tool("dsrdump")
    (path,) = (judged[1] / "out").glob("SR*")
    done = subprocess.run([show, "+U8", path], capture_output=True, text=True, check=True)
    assert "Müller^Änne" in done.stdout
    assert '(233604007,SCT,"Pneumonia")' in done.stdout
    assert "Not processed: not a frontal view by its tags." in "".join(
        item.TextValue for item in contents(pydicom.dcmread(path), "Comment")
    )


def test_every_object_is_of_the_study_and_every_reference_is_in_it(judged):
    for ds in written(judged[1] / "out"):
        assert (ds.StudyInstanceUID, ds.PatientID, ds.AccessionNumber) == ("1.2.3", "4711", "A1")
        assert str(ds.PatientName) == "Müller^Änne"
        assert "SyntheticData" not in ds
        uids = {e.value for e in ds.iterall() if e.keyword == "ReferencedSOPInstanceUID"}
        assert uids <= {"1.2.3.4", "1.2.3.5"}
    evidence = [e.value for e in written(judged[1] / "out")[2].iterall() if e.keyword == "ReferencedSOPInstanceUID"]
    assert {"1.2.3.4", "1.2.3.5"} == set(evidence)


def test_capture_shows_film_and_map_and_is_no_input(judged):
    capture = written(judged[1] / "out")[0]
    assert (capture.ImageType[:2], capture.BurnedInAnnotation) == (["DERIVED", "SECONDARY"], "YES")
    picture = capture.pixel_array[:120]
    assert capture.pixel_array.shape[1:] == (200, 3)
    film = read_xray(judged[1] / "in" / "pa.dcm").pixels
    assert np.abs(picture[:, :100, 0] - 255 * film).max() <= 1
    assert np.array_equal(picture[:40, 100:140], picture[:40, :40])  # where the input is dark, the map is 0
    assert np.abs(picture[-20:, 180:].astype(int) - picture[-20:, 80:100]).max() > 20
    selected, _ = select(read_study(judged[1] / "out")[0])
    assert selected == []
    assert not capture.PatientOrientation  # that of the film is not known


@pytest.mark.parametrize(("photometric", "shape"), [("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")])
def test_presentation_state_keeps_polarity_and_window_of_the_film(tmp_path, model, photometric, shape):
    patient_film(
        tmp_path / "in" / "a", PhotometricInterpretation=photometric, WindowCenter="1500", WindowWidth="2000",
        RescaleSlope="2", RescaleIntercept="-7", RescaleType="US",
    )  # fmt: skip
    list(run_folder(tmp_path / "in", model, tmp_path / "out"))
    state = written(tmp_path / "out")[1]
    assert state.PresentationLUTShape == shape
    (window,) = state.SoftcopyVOILUTSequence
    assert (float(window.WindowCenter), float(window.WindowWidth)) == (1500, 2000)
    assert (float(state.RescaleSlope), float(state.RescaleIntercept)) == (2, -7)
    (text,) = state.GraphicAnnotationSequence[0].TextObjectSequence
    assert re.fullmatch(
        r"NORMAL: 0\.\d{3} \w+\r\nPNEUMONIA: 0\.\d{3} \w+\r\nRESEARCH USE ONLY", text.UnformattedTextValue
    )


def test_study_without_a_film_gets_a_report_that_says_why(tmp_path, model):
    patient_film(tmp_path / "in" / "ct", SOPClassUID=pydicom.uid.CTImageStorage, Modality="CT")
    (result,) = run_folder(tmp_path / "in", model, tmp_path / "out")
    (report,) = written(tmp_path / "out")
    assert (result.films, report.Modality, report.CompletionFlag) == ((), "SR", "PARTIAL")
    (status,) = contents(report, "CAD Processing and Findings Summary")
    assert status.ConceptCodeSequence[0].CodeValue == "111245"
    texts = [item.TextValue for item in contents(report, "Comment")]
    assert "Not processed: not a chest radiograph by its SOP class." in texts


def test_film_with_damaged_pixels_is_told_beside_those_that_were_read(tmp_path, model):
    patient_film(tmp_path / "in" / "a")
    damaged = patient_film(tmp_path / "in" / "b", SOPInstanceUID="1.2.3.6")
    damaged.write_bytes(damaged.read_bytes()[:-4000])
    (result,) = run_folder(tmp_path / "in", model, tmp_path / "out")
    assert [film.instance.sop_uid for film in result.films] == ["1.2.3.4"]
    assert [(each.file, each.failed) for each in result.not_processed] == [("b", True)]
    (status,) = contents(written(tmp_path / "out")[2], "CAD Processing and Findings Summary")
    assert status.ConceptCodeSequence[0].CodeValue == "111244"  # not all algorithms succeeded; with findings


def test_reports_that_come_back_alone_are_not_answered(judged, tmp_path, model):
    (tmp_path / "in").mkdir()
    for kind in ("SR", "PR"):
        (path,) = (judged[1] / "out").glob(f"{kind}*")
        shutil.copy(path, tmp_path / "in")
    (result,) = run_folder(tmp_path / "in", model, tmp_path / "out")
    assert {each.reason for each in result.not_processed} == {"no image"}
    assert (result.films, result.written, (tmp_path / "out").exists()) == ((), (), False)


def test_second_run_names_its_predecessor_and_the_third_the_second(tmp_path, model):
    patient_film(tmp_path / "study" / "film.dcm")
    reports = []
    for run in range(3):
        (result,) = run_folder(tmp_path / "study", model, tmp_path / f"out{run}")
        reports.append(pydicom.dcmread(result.written[0]))
        for path in result.written:  # the router sends all back, and the archive gives all of the study
            shutil.copy(path, tmp_path / "study")
    assert "PredecessorDocumentsSequence" not in reports[0]
    for before, after in itertools.pairwise(reports):
        (study,) = after.PredecessorDocumentsSequence
        (series,) = study.ReferencedSeriesSequence
        (item,) = series.ReferencedSOPSequence
        assert item.ReferencedSOPInstanceUID == before.SOPInstanceUID
        assert series.SeriesInstanceUID == before.SeriesInstanceUID
        tracking = [{i.UID for i in contents(each, "Tracking Unique Identifier")} for each in (before, after)]
        assert tracking[0] == tracking[1]  # the same observations


def test_results_of_a_phantom_are_marked_as_made_up(tmp_path, model):
    phantom_film(tmp_path / "in" / "phantom.dcm", monochrome1=True)
    (result,) = run_folder(tmp_path / "in", model, tmp_path / "out", accept_phantoms=True)
    assert [(ds.Modality, ds.SyntheticData) for ds in written(tmp_path / "out")] == [(each, "YES") for each in JUDGED]
    assert result.films[0].xray.origin == "phantom"


@pytest.mark.parametrize(
    "tags",
    [
        {"PatientSex": "X", "PatientBirthDate": None},
        {"PatientName": None, "PatientID": None, "StudyDate": None, "AccessionNumber": None},
        {"PatientBirthDate": "not a date", "StudyTime": "late", "PatientAge": "old"},
        {"SpecificCharacterSet": "ISO_IR 999"},
        {"WindowCenter": 100, "WindowWidth": 0},
        {"WindowCenter": 100, "WindowWidth": -100},
        {"WindowCenter": 100},
        {"WindowCenter": [100, 200], "WindowWidth": [50]},
        {"Modality": None},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_odd_headers_get_their_report(tmp_path, model, tags):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
        patient_film(tmp_path / "in" / "a", **tags)
    list(run_folder(tmp_path / "in", model, tmp_path / "out"))
    assert [ds.Modality for ds in written(tmp_path / "out")] == JUDGED


def test_a_study_of_which_no_report_can_be_made_does_not_end_the_others(tmp_path, model, monkeypatch):
    from monai_xr.deploy.core import writing

    patient_film(tmp_path / "in" / "a", StudyInstanceUID="1.2.1", SOPInstanceUID="1.2.1.1")
    patient_film(tmp_path / "in" / "b", StudyInstanceUID="1.2.2", SOPInstanceUID="1.2.2.1")
    real = writing.make_report

    def fails_at_the_first(result, model):
        if result.study == "1.2.1":
            raise AttributeError("Modality")
        return real(result, model)

    monkeypatch.setattr(writing, "make_report", fails_at_the_first)
    first, second = run_folder(tmp_path / "in", model, tmp_path / "out")
    assert [each.reason for each in first.not_processed] == ["no result can be made of its header: AttributeError"]
    assert (first.films, first.written, len(second.written)) == ((), (), 3)


def test_what_is_unsure_is_not_summed_up_as_without_findings():
    unsure = Finding("PNEUMONIA", 0.5, 0.5, "unsure")
    film = JudgedFilm(instance=None, xray=None, findings=(unsure,), network_input=None, look=None, embedding=None)
    result = StudyResult("1.2", (film,), ())
    assert status_of(result) == codes.cid6047.AllAlgorithmsSucceededWithFindings


def test_results_are_all_there_or_none(tmp_path, model, monkeypatch):
    from monai_xr.deploy.core import writing

    patient_film(tmp_path / "in" / "a")
    real, calls = writing.write_whole, []

    def fails_at_the_third(path, data, *, mode):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        real(path, data, mode=mode)

    monkeypatch.setattr(writing, "write_whole", fails_at_the_third)
    with pytest.raises(HostError, match=r"No space left on device : SR-[\d.]+dcm"):
        list(run_folder(tmp_path / "in", model, tmp_path / "out"))
    assert list((tmp_path / "out").iterdir()) == []


def test_each_finding_of_several_has_its_own_threshold_and_answer(tmp_path):
    decision = {
        "classes": ["effusion", "mass", "strange thing"], "multi_label": True, "temperature": 1.0,
        "thresholds": [0.2, 0.9, 0.5], "half_widths": [0.0, 0.0, 9.0], "positive": "", "negatives": [],
    }  # fmt: skip
    patient_film(tmp_path / "in" / "a")
    several = load_model(write_model(tmp_path, decision=decision, weights=(1.0, 1.0, -1.0)))
    (result,) = run_folder(tmp_path / "in", several, tmp_path / "out")
    told = [(each.name, each.decision) for each in result.films[0].findings]
    assert told == [("effusion", "yes"), ("mass", "no"), ("strange thing", "unsure")]
    first, second, third = (each.probability for each in result.films[0].findings)
    assert first == second == pytest.approx(1 - third)
    report = written(tmp_path / "out")[2]
    kinds = [item.ConceptCodeSequence[0] for item in contents(report, "Finding")]
    assert [(each.CodeValue, each.CodingSchemeDesignator) for each in kinds] == [
        ("60046008", "SCT"), ("309529002", "SCT"), ("STRANGE_THING", "99MONAI_XR"),
    ]  # fmt: skip
    (scheme,) = report.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99MONAI_XR"
    for code in ("52101004", "2667000", "82334004"):  # SNOMED CT: present, absent, indeterminate
        assert code in str(report)
