"""Writes the report, captures and presentation states of a study as DICOM files: `write_results`."""

import io
from dataclasses import replace
from pathlib import Path

from pydicom.dataset import Dataset

from monai_xr.data.files.output import write_whole
from monai_xr.deploy.core.model import DeployedModel
from monai_xr.deploy.core.pictures import make_capture, make_presentation
from monai_xr.deploy.core.report import make_report
from monai_xr.deploy.core.results import StudyResult
from monai_xr.dicom.values import quiet
from monai_xr.disk import host_trouble, make_folder
from monai_xr.errors import HostError


def write_results(result: StudyResult, model: DeployedModel, out: Path) -> StudyResult:
    """Write what is told of a study, all of it or nothing.

    A study of which nothing was processed gets a report that says why. Files without a study get none, nor does a study
    of reports alone: what a router brings back must not be answered for ever.

    Returns:
        The result with the files that tell it, the report first.

    Raises:
        HostError: They cannot be written.
    """
    if not result.instances:
        return result
    with quiet():
        files = {f"{ds.Modality}-{ds.SOPInstanceUID}.dcm": _encoded(ds) for ds in _objects(result, model)}
    make_folder(out)
    written: list[Path] = []
    try:
        for name, data in reversed(files.items()):  # the report last: who sees it finds what it came with
            with host_trouble(out / name):
                write_whole(out / name, data, mode=0o666)  # a router of another user takes them
            written.insert(0, out / name)
    except HostError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return replace(result, written=tuple(written))


def _objects(result: StudyResult, model: DeployedModel) -> list[Dataset]:
    pictures = [make(film, model) for film in result.films for make in (make_capture, make_presentation)]
    return [make_report(result, model), *(each for each in pictures if each is not None)]


def _encoded(ds: Dataset) -> bytes:
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
