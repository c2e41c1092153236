"""Makes the report on a study, a Comprehensive 3D SR of template TID 1500 (PS3.16).

One measurement group tells whether the algorithm succeeded (CID 6047), with the reasons where it did not; one for each
class of each film follows: its calibrated probability and whether it is present.
"""

from collections.abc import Iterable, Sequence

from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from monai_xr.deploy.core.marks import concept_of, device, device_uid, mark, referred
from monai_xr.deploy.core.model import DeployedModel
from monai_xr.deploy.core.results import PRESENCE, RESEARCH_ONLY, Finding, Instance, JudgedFilm, StudyResult
from monai_xr.dicom.values import items, text
from monai_xr.dicom.writing import MANUFACTURER, derived_uid

_CHEST_FILM = Code("399208008", "SCT", "Plain chest X-ray")
_IMAGING = Code("363679005", "SCT", "Imaging")
_MOST_REASONS = 20
_SUMMARY = codes.DCM.CADProcessingAndFindingsSummary
_ANOMALY = Code("ANOMALY_SCORE", "99MONAI_XR", "Anomaly score")


def make_report(result: StudyResult, model: DeployedModel) -> Dataset:
    """Make the report; it is preliminary and unverified, and names the newest one before it."""
    references = {instance.sop_uid: referred(instance) for instance in result.instances}
    groups = [_status_group(result, model, references)]
    for film in result.films:
        groups += [_finding_group(film, finding, model, references) for finding in film.findings]
        if film.score is not None:
            groups.append(_score_group(film, film.score, model, references))
    content = sr.MeasurementReport(
        observation_context=_observer(model),
        procedure_reported=_CHEST_FILM if result.films else _IMAGING,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    report: Dataset = sr.Comprehensive3DSR(
        evidence=list(references.values()),
        content=content[0],
        sop_instance_uid=str(generate_uid(prefix=None)),
        is_complete=bool(result.films),
        is_final=False,
        is_verified=False,
        previous_versions=[each.header for each in result.earlier] or None,
        **device(model, "findings", 1),
    )
    mark(report, model, result.instances[0])
    return report


def earlier_reports(instances: Iterable[Instance], study: str, model: DeployedModel) -> tuple[Instance, ...]:
    """Give the newest report of a model of this name on a study, or nothing."""
    found = [each for each in instances if each.study == study and each.is_identified and _is_ours(each.header, model)]
    succeeded = {text(item, "ReferencedSOPInstanceUID") for each in found for item in _predecessors(each.header)}
    last = [each for each in found if each.sop_uid not in succeeded]
    last.sort(key=lambda each: (text(each.header, "ContentDate"), text(each.header, "ContentTime")))
    return tuple(last[-1:])


def _is_ours(ds: Dataset, model: DeployedModel) -> bool:
    named = text(ds, "Manufacturer"), text(ds, "ManufacturerModelName"), text(ds, "Modality")
    return named == (MANUFACTURER, model.name[:64], "SR")


def _predecessors(ds: Dataset) -> list[Dataset]:
    return [
        item
        for study in items(ds, "PredecessorDocumentsSequence")
        for series in items(study, "ReferencedSeriesSequence")
        for item in items(series, "ReferencedSOPSequence")
    ]


def _observer(model: DeployedModel) -> sr.ObservationContext:
    attributes = sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(model),
        name=f"{MANUFACTURER} {model.name}"[:64],
        manufacturer_name=MANUFACTURER,
        model_name=model.name[:64],
        serial_number=model.model_hash[:64],
    )
    return sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DCM.Device, attributes))


def _algorithm(model: DeployedModel, parameters: Sequence[str] = ()) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(
        name=f"{model.name} ({RESEARCH_ONLY.lower()})"[:64],
        version=f"{model.version} {model.model_hash[:12]}",
        parameters=[*parameters, *model.parameters],
        manufacturer=MANUFACTURER,
    )


def _tracking(name: str, *parts: str) -> sr.TrackingIdentifier:
    """Give what tells an observation from others; the same in every report on the same film by the same weights."""
    return sr.TrackingIdentifier(derived_uid("tracking", name, *parts), f"{MANUFACTURER} {name}"[:64])


def _sources(uids: Iterable[str], references: dict[str, Dataset]) -> list[sr.SourceImageForMeasurementGroup]:
    return [sr.SourceImageForMeasurementGroup.from_source_image(references[each]) for each in uids]


def _status_group(result: StudyResult, model: DeployedModel, references: dict[str, Dataset]) -> Dataset:
    images = [each.sop_uid for each in result.instances if each.is_image]
    group: Dataset = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking("processing status", result.study, model.model_hash),
        algorithm_id=_algorithm(model),
        qualitative_evaluations=[
            sr.QualitativeEvaluation(codes.DCM.CADProcessingAndFindingsSummary, status_of(result))
        ],
        source_images=_sources(images[:1] if result.films else images, references) or None,
    )
    reasons = sorted({each.reason for each in result.not_processed})
    scores = ["The score has no threshold: it is no finding."] * any(film.score is not None for film in result.films)
    texts = [
        f"Not for diagnosis. {RESEARCH_ONLY}.",
        *scores,
        *(f"Not processed: {each}." for each in reasons[:_MOST_REASONS]),
    ]
    group[0].ContentSequence.extend(  # type: ignore[attr-defined]
        sr.TextContentItem(codes.DCM.Comment, each, sr.RelationshipTypeValues.CONTAINS) for each in texts
    )
    return group


def status_of(result: StudyResult) -> Code:
    """Give the concept of CID 6047 that tells whether all films were judged, and whether anything was found.

    Lateral and derived images were not for the algorithm, so that they are no failure of it.
    """
    found = "WithFindings" if result.has_findings else "WithoutFindings"
    how_many = "All" if not any(each.failed for each in result.not_processed) else "NotAll"
    code: Code = getattr(codes.cid6047, f"{how_many if result.films else 'No'}AlgorithmsSucceeded{found}")
    return code


def _finding_group(film: JudgedFilm, finding: Finding, model: DeployedModel, references: dict[str, Dataset]) -> Dataset:
    concept = concept_of(finding.name)
    group: Dataset = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(finding.name, film.instance.sop_uid, model.model_hash),
        finding_type=concept,
        algorithm_id=_algorithm(model, [f"threshold={finding.threshold:.6g}"]),
        measurements=[sr.Measurement(codes.DCM.Probability, round(finding.probability, 6), codes.UCUM.NoUnits)],
        qualitative_evaluations=[sr.QualitativeEvaluation(concept, PRESENCE[finding.decision])],
        source_images=_sources([film.instance.sop_uid], references),
    )
    return group


def _score_group(film: JudgedFilm, score: float, model: DeployedModel, references: dict[str, Dataset]) -> Dataset:
    group: Dataset = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking("anomaly score", film.instance.sop_uid, model.model_hash),
        algorithm_id=_algorithm(model),
        measurements=[sr.Measurement(_ANOMALY, round(score, 6), codes.UCUM.NoUnits)],
        source_images=_sources([film.instance.sop_uid], references),
    )
    return group
