"""De-identifies a tree of DICOM files into images that may go out, and a quarantine for review: `deidentify_folder`.

Only DICOM is de-identified: a PNG or JPEG has no header to tell what it is. An image goes to `images` only if its
pixels were looked at and hold no text but markers of radiographers, and its header does not say otherwise
(BurnedInAnnotation YES); any other waits in `quarantine` for `reviewing`. Labels of a `labels.csv` or `manifest.csv`
go along. The folder is described in `deidentified_folder`.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from monai_xr.data.deidentifying.deidentified_folder import REPORT, disk_trouble
from monai_xr.data.deidentifying.deidentified_labels import join_labels, write_labels
from monai_xr.data.deidentifying.job import Admission, Job
from monai_xr.data.deidentifying.outcomes import REFUSED, DeidentificationReport
from monai_xr.data.deidentifying.reviewing import carry_out_decisions
from monai_xr.data.files.data_folder import is_inside
from monai_xr.data.files.file_kinds import printable
from monai_xr.data.files.output import write_whole
from monai_xr.data.records import SkippedFile
from monai_xr.data.sources.shown_paths import shown_path, shown_skipped
from monai_xr.dicom import read_header
from monai_xr.dicom.deidentification.data_set import BASIC_PROFILE, DeidentificationOptions
from monai_xr.dicom.deidentification.secrets import names_of_people
from monai_xr.errors import ConfigurationError, InputDataError

Progress = Callable[[int, int], None]


def deidentify_folder(
    source: str | Path,
    output: str | Path,
    *,
    key: str | Path | None = None,
    options: DeidentificationOptions = BASIC_PROFILE,
    admit: tuple[str, ...] = ("patient",),
    accept_non_chest: bool = False,
    allow_times: bool = False,
    crosswalk: str | Path | None = None,
    progress: Progress | None = None,
) -> DeidentificationReport:
    """De-identify all DICOM images of a tree; run again, it does what is new or was interrupted.

    Args:
        source: Any tree of files.
        output: Folder to make or to go on with.
        key: Key file, made where it does not exist; by default beside the output folder, with ".key" added.
        options: What is kept beyond the basic profile; the same in every run into one folder, as is the key.
        admit: See `Admission`.
        accept_non_chest: See `Admission`.
        allow_times: See `Admission`.
        crosswalk: File to write, readable for its owner alone, that names each source file beside its outcome.
        progress: Called with (done, total) after each file.

    Raises:
        ConfigurationError: No such folder, one inside the other, another key or other options than before.
        InputDataError: Not one image could be de-identified; the label table is damaged or gives a film two labels.
    """
    job = Job.open(Path(source), Path(output), key, options, Admission(admit, accept_non_chest, allow_times))
    _check_crosswalk(crosswalk, job)
    report = DeidentificationReport()
    with disk_trouble(), job.folder.locked():
        _take_all(job, report, progress)
        carry_out_decisions(job.folder)
        report.labels_left = join_labels(job.folder, job.source, job.labels, report.films())
        write_labels(job.folder)
        _write_report(job, report, crosswalk)
    return report


def _take_all(job: Job, report: DeidentificationReport, progress: Progress | None) -> None:
    report.notes = job.start()
    write_whole(job.folder.root / REPORT, b'{"ended": false}')
    files = job.files()
    for number, each in enumerate(files, start=1):
        entry, reused = job.take(each)
        report.add(each.file, entry, reused=reused)
        if progress:
            progress(number, len(files))
    report.refused = _refused(job.source, report)


def _refused(source: Path, report: DeidentificationReport) -> tuple[SkippedFile, ...]:
    """Give the refused files as reports may show them; the other headers are read only for those without their own."""
    refused = [SkippedFile(file, entry.reason) for file, entry in report.entries if entry.status == REFUSED]
    shown = {each.file: _shown(source, each.file) for each in refused}
    bare = [each for each in refused if not shown[each.file]]
    if bare:
        others = {file: shown.get(file) or _shown(source, file) for file, _ in report.entries}
        names = shown_skipped(source, [(file, name) for file, name in others.items() if name], bare)
        shown |= {each.file: name.file for each, name in zip(bare, names, strict=True)}
    return tuple(SkippedFile(printable(shown[each.file]), each.reason) for each in refused)


def _shown(source: Path, file: str) -> str:
    """Give a path as reports may show it; "" where no header tells whom it must not name."""
    try:
        return shown_path(file, names_of_people(read_header(source / file)))
    except (InputDataError, RecursionError):
        return ""


def _write_report(job: Job, report: DeidentificationReport, crosswalk: str | Path | None) -> None:
    content = {name: value for name, value in vars(report).items() if name != "entries"} | job.facts() | {"ended": True}
    content["refused"] = [asdict(each) for each in report.refused]
    write_whole(job.folder.root / REPORT, json.dumps(content, indent=2).encode("ascii"))
    if crosswalk is not None:
        lines = "".join(json.dumps({"file": file, **asdict(entry)}) + "\n" for file, entry in report.entries)
        write_whole(Path(crosswalk), lines.encode("ascii"))
    if (total := report.counts.total()) == report.counts[REFUSED]:
        why = "; ".join(f"{count} {reason}" for reason, count in report.reasons.get(REFUSED, Counter()).most_common(3))
        what = f"none of {total} files could be de-identified: {why}"
        raise InputDataError(what, job.folder.root, "see report.json there")


def _check_crosswalk(crosswalk: str | Path | None, job: Job) -> None:
    if crosswalk is None:
        return
    if is_inside(Path(crosswalk), job.folder.root):
        raise ConfigurationError(
            "crosswalk inside the output folder", "crosswalk", "it names patients' files: keep it with the key"
        )
    if not Path(crosswalk).absolute().parent.is_dir() or Path(crosswalk).is_dir():
        raise ConfigurationError("no such folder, or a folder itself", "crosswalk", "name a file to write")
