"""Each rule of IHE AI Results finds what breaks it in a report by highdicom, and nothing in the whole report."""

from collections.abc import Callable
from copy import deepcopy

import pytest
from highdicom import sr
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from monai_xr.data.phantoms import make_phantom
from monai_xr.deploy.air_rules import check_report, groups_of
from monai_xr.dicom.writing import PhantomHeader, write_phantom


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A phantom's data set."""
    path = tmp_path_factory.mktemp("film") / "film.dcm"
    header = PhantomHeader("SYNTH-1", "F", 60, "study", "film", spacing_mm=0.5)
    write_phantom(path, make_phantom(0, "NORMAL", size=32).pixels, header)
    return dcmread(path)


@pytest.fixture(scope="module")
def whole(film: Dataset) -> Dataset:
    """A report with two groups, as the profile wants it."""
    device = sr.DeviceObserverIdentifyingAttributes(uid=generate_uid(), name="app")
    groups = [
        sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(generate_uid(), f"finding {number}"),
            finding_type=codes.SCT.Pneumothorax,
            algorithm_id=sr.AlgorithmIdentification(name="net", version="1"),
            measurements=[sr.Measurement(codes.DCM.Probability, 0.25, codes.UCUM.NoUnits)],
            source_images=[sr.SourceImageForMeasurementGroup.from_source_image(film)],
        )
        for number in range(2)
    ]
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DCM.Device, device)),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
    )
    return sr.Comprehensive3DSR(
        evidence=[film],
        content=content[0],
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="maker",
        manufacturer_model_name="app",
        device_serial_number="1",
        software_versions="1",
        is_final=False,
        is_complete=True,
    )


def items_named(report: Dataset, value: str, group: int | None = None) -> tuple[Dataset, Dataset]:
    """The holder and the first item of a concept."""
    holders = [report, *groups_of(report), report.ContentSequence[-1]]
    holder = next(
        each
        for each in (holders if group is None else [groups_of(report)[group]])
        if any(item.ConceptNameCodeSequence[0].CodeValue == value for item in each.ContentSequence)
    )
    return holder, next(x for x in holder.ContentSequence if x.ConceptNameCodeSequence[0].CodeValue == value)


def without(value: str) -> Callable[[Dataset], None]:
    def change(report: Dataset) -> None:
        holder, item = items_named(report, value)
        del holder.ContentSequence[list(holder.ContentSequence).index(item)]

    return change


def twice_tracked(report: Dataset) -> None:
    items_named(report, "112040", 1)[1].UID = items_named(report, "112040", 0)[1].UID


def no_group(report: Dataset) -> None:
    report.ContentSequence[-1].ContentSequence = []


def group_at_the_root(report: Dataset) -> None:
    report.ContentSequence.append(report.ContentSequence[-1].ContentSequence.pop())


def probability_of_two(report: Dataset) -> None:
    items_named(report, "122157", 0)[1].MeasuredValueSequence[0].NumericValue = "2"


def without_unit(report: Dataset) -> None:
    del items_named(report, "122157", 0)[1].MeasuredValueSequence[0].MeasurementUnitsCodeSequence


def observer_is_a_person(report: Dataset) -> None:
    items_named(report, "121005")[1].ConceptCodeSequence[0].CodeValue = "121006"


def study_twice(report: Dataset) -> None:
    report.CurrentRequestedProcedureEvidenceSequence.append(
        deepcopy(report.CurrentRequestedProcedureEvidenceSequence[0])
    )


def instance_twice(report: Dataset) -> None:
    series = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence.append(deepcopy(series.ReferencedSOPSequence[0]))


def reference_into_the_void(report: Dataset) -> None:
    items_named(report, "121112", 0)[1].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def evidence_of_elsewhere(report: Dataset) -> None:
    report.CurrentRequestedProcedureEvidenceSequence[0].StudyInstanceUID = "1.2.3"


def odd_scheme(report: Dataset) -> None:
    items_named(report, "121071", 0)[1].ConceptCodeSequence[0].CodingSchemeDesignator = "SRT"


def code_without_meaning(report: Dataset) -> None:
    items_named(report, "121071", 0)[1].ConceptCodeSequence[0].CodeMeaning = ""


def sets(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda report: setattr(report, keyword, value)


def other_template(report: Dataset) -> None:
    report.ContentTemplateSequence[0].TemplateIdentifier = "2000"


BROKEN = [
    (sets("SOPClassUID", "1.2.840.10008.5.1.4.1.1.88.11"), "Comprehensive 3D SR", "another SOP class"),
    (other_template, "Comprehensive 3D SR", "the root names another template than TID 1500"),
    (observer_is_a_person, "the observer is", "the observer is no device"),
    (without("121012"), "the observer is", "the device has no valid UID"),
    (without("121058"), "the procedure", "no procedure reported"),
    (no_group, "findings stand", "no measurement group"),
    (group_at_the_root, "findings stand", "a measurement group outside Imaging Measurements"),
    (without("112039"), "each group has a tracking", "a group without tracking identifier or unique identifier"),
    (without("112040"), "each group has a tracking", "a group without tracking identifier or unique identifier"),
    (twice_tracked, "each group has a tracking", "two groups with one tracking unique identifier"),
    (without("111001"), "each group has name", "a group without algorithm name"),
    (without("111003"), "each group has name", "a group without algorithm version"),
    (sets("DeviceSerialNumber", ""), "the equipment", "DeviceSerialNumber is empty"),
    (odd_scheme, "codes are whole", "coding scheme SRT"),
    (code_without_meaning, "codes are whole", "a code without value, scheme or meaning"),
    (probability_of_two, "numbers have", "a probability outside 0 to 1, or no number"),
    (without_unit, "numbers have", "a measurement without value or unit"),
    (study_twice, "evidence is grouped", "a study is there twice"),
    (instance_twice, "evidence is grouped", "an instance is there twice"),
    (sets("CurrentRequestedProcedureEvidenceSequence", []), "evidence is grouped", "no evidence"),
    (reference_into_the_void, "every reference", "a reference that is not among the evidence"),
    (evidence_of_elsewhere, "every reference", "evidence that is not in the study"),
    (sets("StudyInstanceUID", "1.2.3"), "study and patient", "another study or patient than its films"),
    (sets("PatientID", "X"), "study and patient", "another study or patient than its films"),
    (sets("PreliminaryFlag", "FINAL"), "unverified", "not marked as unverified and preliminary"),
    (sets("CompletionFlag", ""), "unverified", "no completion flag"),
]


def test_a_whole_report_keeps_every_rule(whole: Dataset, film: Dataset) -> None:
    rows = check_report(whole, [film])
    assert len(rows) == 13
    assert [row for row in rows if row.wrong] == []


@pytest.mark.parametrize(("change", "rule", "wrong"), BROKEN)
def test_what_breaks_a_rule_is_told(
    whole: Dataset, film: Dataset, change: Callable[[Dataset], None], rule: str, wrong: str
) -> None:
    broken = deepcopy(whole)
    change(broken)
    found = {row.rule: row.wrong for row in check_report(broken, [film]) if row.wrong}
    assert [said for name, said in found.items() if name.startswith(rule)] == [wrong]


def test_every_rule_is_broken_by_some_report(whole: Dataset, film: Dataset) -> None:
    rules = [row.rule for row in check_report(whole, [film])]
    assert all(any(rule.startswith(start) for _, start, _ in BROKEN) for rule in rules)


def test_a_report_of_another_kind_breaks_rules_without_an_error(film: Dataset) -> None:
    assert sum(bool(row.wrong) for row in check_report(film, [film])) >= 7
