"""Judges each study in a folder by a model and writes the results as DICOM: `run_folder`.

The steps of a study are functions from what is known of it to what is known then, so that an operator holds one each.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from monai_xr.deploy.core.films import read_study, select
from monai_xr.deploy.core.model import DeployedModel
from monai_xr.deploy.core.report import earlier_reports
from monai_xr.deploy.core.results import Instance, JudgedFilm, NotProcessed, StudyResult
from monai_xr.deploy.core.writing import write_results
from monai_xr.dicom import XrayImage, read_xray
from monai_xr.dicom.values import text
from monai_xr.errors import HostError, InputDataError

Given = TypeVar("Given")
Made = TypeVar("Made")
_MIXED = "its study names several patients"
_ADMIT = ("patient", "phantom")  # what is selected was admitted


@dataclass(frozen=True, eq=False)
class Study:
    """What is known of one study on its way to the result.

    Args:
        uid: "" for files that belong to none.
        instances: All of it.
        selected: Those to judge.
        read: With their pixels.
        films: As judged.
        not_processed: The others, so far.
    """

    uid: str
    instances: tuple[Instance, ...] = ()
    selected: tuple[Instance, ...] = ()
    read: tuple[tuple[Instance, XrayImage], ...] = ()
    films: tuple[JudgedFilm, ...] = ()
    not_processed: tuple[NotProcessed, ...] = ()


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
    before = reports_in(out)
    for study in studies_in(folder):
        judged = judge_films(read_films(select_films(study, accept_phantoms=accept_phantoms)), model)
        yield finish(judged, model, out, before)


def reports_in(out: Path) -> list[Instance]:
    """Give what earlier runs left in a folder."""
    return read_study(out)[0] if out.is_dir() else []


def studies_in(folder: Path) -> list[Study]:
    """Find the studies under a folder; what has none comes last, with the files that are no DICOM.

    A study that names several patients gets no result, for it would tell of one what was found in another.
    """
    instances, others = read_study(folder)
    by_study: dict[str, list[Instance]] = {}
    for instance in instances:
        by_study.setdefault(instance.study if instance.is_identified else "", []).append(instance)
    unidentified = by_study.pop("", [])
    for uid in [uid for uid, members in by_study.items() if len(_patients(members)) > 1]:
        others += [NotProcessed(each.path.name, _MIXED) for each in by_study.pop(uid)]
    found = [Study(uid, tuple(members)) for uid, members in by_study.items()]
    return [*found, *([Study("", tuple(unidentified), not_processed=tuple(others))] if unidentified or others else [])]


def _patients(instances: Sequence[Instance]) -> set[str]:
    """Give the ids of the patients of a study; without any id, their names."""
    by_keyword = ({text(each.header, keyword) for each in instances} - {""} for keyword in ("PatientID", "PatientName"))
    return next(filter(None, by_keyword), set())


def select_films(study: Study, *, accept_phantoms: bool) -> Study:
    """Choose the films to judge."""
    selected, refused = select(study.instances, accept_phantoms=accept_phantoms)
    if not selected and not refused:
        refused = [NotProcessed(each.path.name, "no image") for each in study.instances]
    return replace(study, selected=tuple(selected), not_processed=(*study.not_processed, *refused))


def read_films(study: Study) -> Study:
    """Read the chosen films; one that cannot be read is not processed."""
    read, failed = _each(study.selected, lambda each: (each, read_xray(each.path, admit=_ADMIT)), lambda each: each)
    return replace(study, read=read, not_processed=(*study.not_processed, *failed))


def judge_films(study: Study, model: DeployedModel) -> Study:
    """Judge the films that were read; their pixels go on with the films."""
    films, failed = _each(study.read, lambda each: model.judge(*each), lambda each: each[0])
    return replace(study, read=(), films=films, not_processed=(*study.not_processed, *failed))


def finish(study: Study, model: DeployedModel, out: Path, before: Sequence[Instance]) -> StudyResult:
    """Write the result of a study; `before` are the objects of earlier runs.

    A header of which no result can be made must not cost other studies theirs.
    """
    earlier = earlier_reports([*study.instances, *before], study.uid, model) if study.uid else ()
    try:
        return write_results(StudyResult(study.uid, study.films, study.not_processed, earlier), model, out)
    except HostError:
        raise
    except Exception as error:  # libraries that write DICOM raise many kinds
        reason = f"no result can be made of its header: {type(error).__name__}"
        films = (NotProcessed(film.instance.path.name, reason, film.instance, failed=True) for film in study.films)
        return StudyResult(study.uid, (), (*study.not_processed, *films), earlier)


def _each(
    given: Iterable[Given], make: Callable[[Given], Made], instance_of: Callable[[Given], Instance]
) -> tuple[tuple[Made, ...], tuple[NotProcessed, ...]]:
    """Make something of each film; one odd film must not cost the study its report."""
    made, failed = [], []
    for each in given:
        instance = instance_of(each)
        try:
            made.append(make(each))
        except InputDataError as error:
            failed.append(NotProcessed(instance.path.name, error.what, instance, failed=True))
        except Exception as error:  # decoders raise many kinds
            reason = f"the reader failed: {type(error).__name__}"
            failed.append(NotProcessed(instance.path.name, reason, instance, failed=True))
    return tuple(made), tuple(failed)
