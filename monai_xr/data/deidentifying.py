"""A tree of files in; de-identified images, a quarantine for review, and records without a patient in them, out.

Only DICOM is de-identified: a PNG or JPEG has no header that tells what is in its pixels. An image goes to `images`
only if its header says that nothing is burned in (BurnedInAnnotation NO); any other waits in `quarantine` for
`monai_xr.data.reviewing`. Labels of a `labels.csv` or `manifest.csv` go along. The folder is described in
`deidentified_folder`.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from monai_xr import __version__
from monai_xr.data.deidentification_key import open_key
from monai_xr.data.deidentification_report import DUPLICATE, READY, REFUSED, WAITING, DeidentificationReport, Entry
from monai_xr.data.deidentified_folder import (
    DeidentifiedFolder,
    add_line,
    disk_trouble,
    encoded,
    read_lines,
    write_whole,
)
from monai_xr.data.deidentified_labels import TABLES, join_labels, source_labels, write_labels
from monai_xr.data.file_kinds import IMAGE_KINDS, files_under
from monai_xr.data.label_table import LabelTable
from monai_xr.data.reviewing import carry_out_decisions
from monai_xr.dicom.deidentification import BASIC_PROFILE, DeidentificationOptions, deidentify
from monai_xr.dicom.deidentification_pixels import read_one_frame
from monai_xr.dicom.deidentification_pseudonyms import Pseudonyms
from monai_xr.dicom.identity import admitted
from monai_xr.dicom.values import text
from monai_xr.errors import ConfigurationError, InputDataError

_NO_HEADER = "{kind}: no header tells whether its pixels name the patient"
_SAME_UID = "another file has the same SOP Instance UID and other content"


def deidentify_folder(
    source: str | Path,
    output: str | Path,
    *,
    key: str | Path | None = None,
    options: DeidentificationOptions = BASIC_PROFILE,
    admit: tuple[str, ...] = ("patient",),
    crosswalk: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> DeidentificationReport:
    """De-identify all DICOM images of a tree; run again, it does what is new or was interrupted.

    Args:
        source: Any tree of files.
        output: Folder to make or to go on with.
        key: Key file, made where it does not exist; by default beside the output folder, with ".key" added.
        options: What is kept beyond the basic profile; the same in every run into one folder, as is the key.
        admit: Origins that are let in; phantoms only if named.
        crosswalk: File to write, readable for its owner alone, that names each source file beside its outcome.
        progress: Called with the number of files done.

    Raises:
        ConfigurationError: No such folder, one inside the other, another key or other options than before.
        InputDataError: Not one image could be de-identified; the label table is damaged or gives a film two labels.
        HostError: No room or no permission. What was finished stays.
    """
    job = _Job.open(Path(source), Path(output), key, options, admit)
    _check_crosswalk(crosswalk, job)
    report = DeidentificationReport()
    named: list[dict[str, str]] = []
    films: dict[str, list[str]] = {}
    with disk_trouble(), job.folder.locked():
        job.start()
        files = ((file, kind) for file, kind in files_under(job.source) if file not in TABLES)
        for number, (file, kind) in enumerate(files, start=1):
            entry, reused = job.take(file, kind)
            report.add(entry, reused=reused)
            if entry.status != REFUSED:
                films.setdefault(entry.sop_instance_uid, []).append(file)
            if crosswalk is not None:
                named.append({"file": file, **asdict(entry)})
            if progress:
                progress(number)
        carry_out_decisions(job.folder)
        report.labels_left = join_labels(job.folder, job.source, job.labels, films)
        write_labels(job.folder)
        _write_report(job, report)
        if crosswalk is not None:
            lines = "".join(json.dumps(line) + "\n" for line in named)
            write_whole(Path(crosswalk), lines.encode("ascii"), mode=0o600)
    if report.counts[REFUSED] == report.counts.total():
        raise InputDataError(
            f"none of {report.counts.total()} files could be de-identified", "SRC", "see the reasons in report.json"
        )
    return report


def _write_report(job: "_Job", report: DeidentificationReport) -> None:
    content = {**vars(report), **job.facts()}
    write_whole(job.folder.root / "report.json", json.dumps(content, indent=2).encode("ascii"))


def _check_crosswalk(crosswalk: str | Path | None, job: "_Job") -> None:
    if crosswalk is None:
        return
    if _is_inside(Path(crosswalk), job.folder.root):
        raise ConfigurationError("crosswalk inside OUT", "crosswalk", "it names patients' files: keep it with the key")
    if not Path(crosswalk).absolute().parent.is_dir() or Path(crosswalk).is_dir():
        raise ConfigurationError("no such folder, or a folder itself", "crosswalk", "name a file to write")


def _is_inside(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


@dataclass(frozen=True)
class _Job:
    """One run: source, output, key, and what earlier runs did."""

    source: Path
    folder: DeidentifiedFolder
    pseudonyms: Pseudonyms
    options: DeidentificationOptions
    admit: tuple[str, ...]
    labels: LabelTable | None
    done: dict[str, Entry] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    decided: set[str] = field(default_factory=set)

    @classmethod
    def open(
        cls,
        source: Path,
        output: Path,
        key: str | Path | None,
        options: DeidentificationOptions,
        admit: tuple[str, ...],
    ) -> "_Job":
        """Check the folders before anything is written."""
        source, output = source.expanduser(), Path(os.path.abspath(output.expanduser()))
        if not source.is_dir():
            raise ConfigurationError("no such folder", "SRC", "name a folder of DICOM files")
        if output.exists() and not output.is_dir():
            raise ConfigurationError("is a file", "OUT", "name a new folder")
        if _is_inside(output, source) or _is_inside(source, output):
            raise ConfigurationError("SRC and OUT lie one inside the other", "OUT", "name a folder elsewhere")
        key_file = Path(key).expanduser() if key else output.with_name(output.name + ".key")
        if _is_inside(key_file, output):
            raise ConfigurationError("key inside OUT", "key", "keep it away from what may go out")
        folder, labels = DeidentifiedFolder(output), source_labels(source)
        with disk_trouble():
            folder.check()
            output.parent.mkdir(parents=True, exist_ok=True)
        pseudonyms = open_key(key_file)
        with disk_trouble():
            output.mkdir(exist_ok=True)
        labels = labels and labels.also_named(pseudonyms.uid)
        return cls(source, folder, pseudonyms, options, admit, labels)

    def facts(self) -> dict[str, Any]:
        """Give what all runs into one folder must share."""
        return {
            "monai_xr": __version__,
            "key": self.pseudonyms.tag("key"),
            "options": asdict(self.options),
            "method_codes": list(self.options.codes),
        }

    def start(self) -> None:
        """Make the folders and read what earlier runs did.

        Raises:
            ConfigurationError: They had another key or other options.
        """
        self.folder.make()
        self.folder.sweep()
        note = self.folder.root / "job.json"
        facts = self.facts()
        if note.exists():
            before = json.loads(note.read_text(encoding="ascii"))
            for name in ("key", "options"):
                if before.get(name) != facts[name]:
                    raise ConfigurationError(f"OUT was made with another {name}", name, "use the same or a new folder")
        else:
            write_whole(note, json.dumps(facts, indent=2).encode("ascii"))
        self.decided.update(self.folder.decided())
        for line in read_lines(self.folder.manifest):
            self._note(Entry(**{name: str(line.get(name, "")) for name in Entry.__dataclass_fields__}))

    def _note(self, entry: Entry) -> None:
        self.done[entry.source] = entry
        if entry.status in (READY, WAITING):
            self.digests[entry.sop_instance_uid] = entry.sha256

    def take(self, file: str, kind: str) -> tuple[Entry, bool]:
        """Bring one file to its place; tell whether an earlier run had done so."""
        source = self._source(file)
        before = self.done.get(source)
        if before is not None and self._still_stands(before):
            return before, True
        entry = self._refused(source, kind) if kind != "DICOM" else self._taken(source, file)
        add_line(self.folder.manifest, asdict(entry), to_disk=False)
        self._note(entry)
        return entry, False

    def _source(self, file: str) -> str:
        try:
            found = os.stat(self.source / file)
            stamp = (str(found.st_size), str(found.st_mtime_ns))
        except OSError:
            stamp = ("", "")
        return self.pseudonyms.tag("file", file, *stamp)

    def _still_stands(self, entry: Entry) -> bool:
        """What was refused is tried again: the cause may be gone."""
        uid = entry.sop_instance_uid
        if entry.status == READY:
            return self.folder.image(entry.patient_id, uid).exists()
        if entry.status == WAITING:
            return uid in self.decided or self.folder.waiting(uid).exists()
        return entry.status == DUPLICATE

    def _refused(self, source: str, kind: str) -> Entry:
        reason = _NO_HEADER.format(kind=kind) if kind in IMAGE_KINDS else f"no DICOM file: {kind}"
        return Entry(source, REFUSED, reason)

    def _taken(self, source: str, file: str) -> Entry:
        try:
            ds = read_one_frame(self.source / file)
            admitted(ds, self.admit)
            clean = deidentify(ds, self.pseudonyms, self.options)
            content = encoded(clean)
        except ConfigurationError:
            raise
        except InputDataError as error:
            return Entry(source, REFUSED, error.what)
        except MemoryError:
            return Entry(source, REFUSED, "too large for the memory of this machine")
        except Exception as error:  # one odd file among thousands does not end the work; no message of its values
            return Entry(source, REFUSED, f"could not be de-identified: {type(error).__name__}")
        if self._source(file) != source:
            return Entry(source, REFUSED, "changed while it was read")
        return self._placed(source, clean, content)

    def _placed(self, source: str, clean: Dataset, content: bytes) -> Entry:
        sop_uid, patient = str(clean.SOPInstanceUID), str(clean.PatientID)
        digest = sha256(content).hexdigest()
        names = (patient, str(clean.StudyInstanceUID), sop_uid, digest)
        known = self.digests.get(sop_uid)
        if known == digest and not self._is_missing(sop_uid, patient):
            return Entry(source, DUPLICATE, "the same image as another file", *names)
        if known not in (None, digest):
            return Entry(source, REFUSED, _SAME_UID, *names[:3])
        burned_in = text(clean, "BurnedInAnnotation")
        if burned_in == "NO":
            place = self.folder.image(patient, sop_uid)
            place.parent.mkdir(exist_ok=True)
            write_whole(place, content)
            return Entry(source, READY, "", *names)
        entry = Entry(source, WAITING, f"burned-in annotation is {burned_in or 'unknown'}", *names)
        if sop_uid not in self.decided:
            write_whole(
                self.folder.waiting(sop_uid).with_suffix(".json"), json.dumps(asdict(entry)).encode("ascii"), mode=0o600
            )
            write_whole(self.folder.waiting(sop_uid), content, mode=0o600)
        return entry

    def _is_missing(self, uid: str, patient: str) -> bool:
        places = (self.folder.image(patient, uid), self.folder.waiting(uid))
        return uid not in self.decided and not any(place.exists() for place in places)
