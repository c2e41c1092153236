"""A folder of studies and a model in; for each study its result, written as DICOM, out: `run_folder`."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from monai_xr.deploy.core.films import read_study, select
from monai_xr.deploy.core.model import DeployedModel
from monai_xr.deploy.core.report import earlier_reports
from monai_xr.deploy.core.results import Instance, JudgedFilm, NotProcessed, StudyResult
from monai_xr.deploy.core.writing import write_results
from monai_xr.dicom import read_xray
from monai_xr.errors import InputDataError

_ADMIT = ("patient", "phantom")  # what is selected was admitted


def run_folder(
    folder: Path, model: DeployedModel, out: Path, *, accept_phantoms: bool = False
) -> Iterator[StudyResult]:
    """Judge all studies under a folder with one loaded model, one after the other as they are asked for.

    Args:
        folder: DICOM files at any depth.
        model: By `load_model`.
        out: Where results go; reports of earlier runs in it, or among the studies, become predecessors.
        accept_phantoms: Whether phantoms are judged like films of patients: for demonstrations and tests.

    Yields:
        One result a study, when its files are written; files that belong to none come last, as a result without study.

    Raises:
        HostError: Results cannot be written; those of whole studies before are there.
    """
    before = read_study(out)[0] if out.is_dir() else []
    for instances, others in studies_of(*read_study(folder)):
        selected, refused = select(instances, accept_phantoms=accept_phantoms)
        films, failed = judged(selected, model)
        name = next((each.study for each in instances if each.is_identified), "")
        earlier = earlier_reports([*instances, *before], name, model) if name else ()
        yield write_results(StudyResult(name, films, (*refused, *failed, *others), earlier), model, out)


def studies_of(
    instances: Sequence[Instance], others: Sequence[NotProcessed]
) -> Iterator[tuple[list[Instance], list[NotProcessed]]]:
    """Give the instances study by study; what has no study comes last, with the files that are no DICOM."""
    by_study: dict[str, list[Instance]] = {}
    for instance in instances:
        by_study.setdefault(instance.study if instance.is_identified else "", []).append(instance)
    unidentified = by_study.pop("", [])
    for study in by_study.values():
        yield study, []
    if unidentified or others:
        yield unidentified, list(others)


def judged(
    selected: Iterable[Instance], model: DeployedModel
) -> tuple[tuple[JudgedFilm, ...], tuple[NotProcessed, ...]]:
    """Read and judge films; what cannot be read is not processed."""
    films, failed = [], []
    for instance in selected:
        try:
            films.append(model.judge(instance, read_xray(instance.path, admit=_ADMIT)))
        except InputDataError as error:
            failed.append(NotProcessed(instance.path.name, error.what, instance, failed=True))
        except Exception as error:  # one odd film must not cost the study its report
            reason = f"the reader failed: {type(error).__name__}"
            failed.append(NotProcessed(instance.path.name, reason, instance, failed=True))
    return tuple(films), tuple(failed)
