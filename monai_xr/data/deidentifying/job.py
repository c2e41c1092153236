"""One run of a de-identification, `Job`: brings each file of the source to its place, unless it is there."""

import json
import os
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from monai_xr import __version__
from monai_xr.data.deidentifying.deidentified_folder import (
    MAY_GO_OUT,
    DeidentifiedFolder,
    content_digest,
    disk_trouble,
    encoded,
)
from monai_xr.data.deidentifying.deidentified_labels import source_labels
from monai_xr.data.deidentifying.outcomes import DUPLICATE, READY, REFUSED, WAITING, Entry, SourceFile
from monai_xr.data.deidentifying.patients import Patients
from monai_xr.data.deidentifying.pixel_text import NO_READER, NOT_THIS_TIME, SOFTWARE_LOOKED, looked_at, vouch
from monai_xr.data.files.data_folder import JOB, OWN_FILES, data_folder, is_inside
from monai_xr.data.files.file_kinds import IMAGE_KINDS, files_under, stamp_of
from monai_xr.data.files.json_lines import add_line, read_lines
from monai_xr.data.files.key_file import open_key
from monai_xr.data.files.output import write_whole
from monai_xr.data.sources.label_table import LabelTable
from monai_xr.dicom.chest import chest_doubt
from monai_xr.dicom.deidentification.data_set import DeidentificationOptions, deidentify
from monai_xr.dicom.deidentification.hidden_pixels import read_one_frame
from monai_xr.dicom.deidentification.pseudonyms import Pseudonyms
from monai_xr.dicom.identity import admitted
from monai_xr.dicom.sandbox.isolated_reading import can_look_for_text
from monai_xr.dicom.values import text
from monai_xr.errors import ConfigurationError, InputDataError

_NO_HEADER = "{kind}: no header tells whether its pixels name the patient"
_SAME_UID = "another file has the same SOP Instance UID and other content"
_SAME_IMAGE = "the same image as another file"
_OTHER_VERSION = "the output was begun by monai_xr {version}: it stays as it was made; a new folder has all made anew"


@dataclass(frozen=True)
class Admission:
    """What is let in.

    Args:
        admit: Origins; phantoms only if named.
        accept_non_chest: Lets in what `monai_xr.dicom.chest` takes for no chest radiograph, as far as its SOP class is
            one that the allow-list was written for.
        allow_times: Times of exposure in the pixels name nobody, as sides and projections do not.
    """

    admit: tuple[str, ...]
    accept_non_chest: bool
    allow_times: bool


@dataclass(frozen=True)
class Job:
    """One run: source, output, key, and what earlier runs did."""

    source: Path
    folder: DeidentifiedFolder
    pseudonyms: Pseudonyms
    options: DeidentificationOptions
    admission: Admission
    labels: LabelTable | None
    done: dict[str, Entry] = field(default_factory=dict)
    by_content: dict[str, Entry] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    present: set[str] = field(default_factory=set)
    decided: set[str] = field(default_factory=set)
    to_look_at: set[str] = field(default_factory=set)

    @cached_property
    def patients(self) -> Patients:
        """Who is who among the films of all runs."""
        return Patients(self.pseudonyms)

    @classmethod
    def open(
        cls,
        source: Path,
        output: Path,
        key: str | Path | None,
        options: DeidentificationOptions,
        admission: Admission,
    ) -> "Job":
        """Check the folders before anything is written."""
        source, output = data_folder(source), Path(os.path.abspath(output.expanduser()))
        if not source.is_dir():
            raise ConfigurationError("no such folder", "the source", "name a folder of DICOM files")
        if output.exists() and not output.is_dir():
            raise ConfigurationError("is a file", output, "name a new folder")
        if is_inside(output, source) or is_inside(source, output):
            raise ConfigurationError("source and output lie one inside the other", output, "name a folder elsewhere")
        key_file = Path(key).expanduser() if key else output.with_name(output.name + ".key")
        if is_inside(key_file, output):
            raise ConfigurationError("key inside the output folder", "key", "keep it away from what may go out")
        folder, labels = DeidentifiedFolder(output), source_labels(source)
        with disk_trouble():
            folder.check()
            output.parent.mkdir(parents=True, exist_ok=True)
        pseudonyms = open_key(key_file)
        with disk_trouble():
            output.mkdir(exist_ok=True)
        labels = labels and labels.also_named(pseudonyms.uid)
        return cls(source, folder, pseudonyms, options, admission, labels)

    def facts(self) -> dict[str, Any]:
        """Give what all runs into one folder must share."""
        return {
            "monai_xr": __version__,
            "key": self.pseudonyms.tag("key"),
            "options": asdict(self.options),
            "method_codes": list(self.options.codes),
        }

    def start(self) -> tuple[str, ...]:
        """Make the folders, sweep them, and `resume`; the folder must be locked."""
        self.folder.make()
        self.folder.sweep()
        return self.resume()

    def resume(self) -> tuple[str, ...]:
        """Read what earlier runs did; give what a user should know of it.

        Raises:
            ConfigurationError: They had another key or other options.
        """
        note = self.folder.root / JOB
        facts = self.facts()
        before = json.loads(note.read_text(encoding="ascii")) if note.exists() else {}
        for name in ("key", "options"):
            if before and before.get(name) != facts[name]:
                raise ConfigurationError(
                    f"the output was made with another {name}", name, "use the same or a new folder"
                )
        if not before:
            write_whole(note, json.dumps(facts, indent=2).encode("ascii"))
        self.decided.update(self.folder.decided())
        self.catch_up()
        version = before.get("monai_xr", __version__)
        return () if version == __version__ else (_OTHER_VERSION.format(version=version),)

    def catch_up(self, start: int = 0) -> int:
        """Take up what stands in the record from a byte on, maybe by other processes; gives where to go on."""
        lines, end = read_lines(self.folder.manifest, start, cut=True)
        for line in lines:
            if "sop_instance_uid" in line:
                self.note(Entry(**{name: str(line.get(name, "")) for name in Entry.__dataclass_fields__}))
        return end

    def note(self, entry: Entry) -> None:
        """Take up what became of a file."""
        self.done[entry.source] = entry
        self.patients.note(entry)
        if entry.status in (READY, WAITING):
            self.digests[entry.sop_instance_uid] = entry.digest
            self.by_content[entry.content] = entry
            waits_for_a_look = any(reason in entry.reason for reason in (NO_READER, NOT_THIS_TIME))
            is_late = waits_for_a_look and can_look_for_text() and entry.sop_instance_uid not in self.decided
            (self.to_look_at.add if is_late else self.to_look_at.discard)(entry.sop_instance_uid)
        elif entry.status == DUPLICATE:
            self.by_content.setdefault(entry.content, entry)

    def files(self) -> list[SourceFile]:
        """List the source, without its label tables."""
        files = [
            SourceFile(file, kind, self._source(file))
            for file, kind in files_under(self.source)
            if file not in OWN_FILES
        ]
        self.present.update(each.source for each in files)
        for each in files:
            if each.kind == "DICOM" and not (each.source in self.done and self.done[each.source].id_tag):
                self.patients.look_at(self.source / each.file)
        return files

    def file(self, name: str) -> SourceFile:
        """Give one DICOM file of the source, which need not be listed for that."""
        return SourceFile(name, "DICOM", self._source(name))

    def take(self, each: SourceFile) -> tuple[Entry, bool]:
        """Bring one file to its place; tell whether an earlier run had done so."""
        before = self.done.get(each.source)
        if before is not None and self._still_stands(before):
            return before, True
        entry, reused = self._refused(each), False
        if each.kind == "DICOM":
            entry, reused = self._dicom(each)
        add_line(self.folder.manifest, asdict(entry), to_disk=False)
        self.note(entry)
        return entry, reused

    def _dicom(self, each: SourceFile) -> tuple[Entry, bool]:
        """Know a file again by its content, whatever its name and date and the version that made its image."""
        content = self._content(each.file)
        before = self.by_content.get(content)
        if before is None or not self._still_stands(before):
            return self._taken(each, content), False
        if before.source in self.present:
            return replace(before, source=each.source, status=DUPLICATE, reason=_SAME_IMAGE), False
        return replace(before, source=each.source), True

    def _content(self, file: str) -> str:
        try:
            with (self.source / file).open("rb") as stream:
                return self.pseudonyms.tag("content", file_digest(stream, "sha256").hexdigest())
        except OSError:
            return ""

    def _source(self, file: str) -> str:
        return self.pseudonyms.tag("file", file, *map(str, stamp_of(self.source / file)))

    def _still_stands(self, entry: Entry) -> bool:
        """What was refused is tried again: the cause may be gone."""
        uid = entry.sop_instance_uid
        if entry.status == READY:
            return self.folder.image(entry.patient_id, uid).exists()
        if entry.status == WAITING:
            return uid in self.decided or (uid not in self.to_look_at and self.folder.waits(uid))
        return entry.status == DUPLICATE

    def _refused(self, each: SourceFile) -> Entry:
        reason = _NO_HEADER.format(kind=each.kind) if each.kind in IMAGE_KINDS else f"no DICOM file: {each.kind}"
        return Entry(each.source, REFUSED, reason)

    def _taken(self, each: SourceFile, content: str) -> Entry:
        try:
            ds = read_one_frame(self.source / each.file)
            admitted(ds, self.admission.admit)
            doubt = chest_doubt(ds, accept_non_chest=self.admission.accept_non_chest)
            identity, kept = self.patients.of(ds)
            clean = deidentify(ds, self.pseudonyms, self.options, identity=identity)
            digest = content_digest(clean)
        except ConfigurationError:
            raise
        except InputDataError as error:
            return Entry(each.source, REFUSED, error.what)
        except MemoryError:
            return Entry(each.source, REFUSED, "too large for the memory of this machine")
        except Exception as error:  # one odd file among thousands does not end the work; no message of its values
            return Entry(each.source, REFUSED, f"could not be de-identified: {type(error).__name__}")
        if self._source(each.file) != each.source:
            return Entry(each.source, REFUSED, "changed while it was read")
        entry = Entry(
            each.source,
            WAITING,
            doubt,
            content=content,
            patient_id=str(clean.PatientID),
            study_instance_uid=str(clean.StudyInstanceUID),
            sop_instance_uid=str(clean.SOPInstanceUID),
            digest=digest,
            **kept,
        )
        return self._placed(entry, clean)

    def _placed(self, entry: Entry, clean: Dataset) -> Entry:
        sop_uid, patient = entry.sop_instance_uid, entry.patient_id
        known = self.digests.get(sop_uid)
        if known == entry.digest and not self._is_missing(sop_uid, patient):
            return replace(entry, status=DUPLICATE, reason=_SAME_IMAGE)
        if known not in (None, entry.digest):
            return replace(entry, status=REFUSED, reason=_SAME_UID, content="", digest="")
        image, waiting = encoded(clean), self.folder.waiting(sop_uid)
        looked = looked_at(image, self.folder.quarantine, admit=self.admission.admit, times=self.admission.allow_times)
        told = "burned-in annotation is YES" * (text(clean, "BurnedInAnnotation") == "YES")
        if not told and not looked.reason:
            vouch(clean, SOFTWARE_LOOKED)
            place = self.folder.image(patient, sop_uid)
            place.parent.mkdir(exist_ok=True)
            write_whole(place, encoded(clean), mode=MAY_GO_OUT)
            for former in (waiting, waiting.with_suffix(".json")):
                former.unlink(missing_ok=True)
            return replace(entry, status=READY)
        entry = replace(entry, reason="; ".join(filter(None, (told, looked.reason, entry.reason))))
        if sop_uid not in self.decided:
            note = {**asdict(entry), "boxes": looked.boxes, "sha256": [sha256(image).hexdigest()]}
            write_whole(waiting.with_suffix(".json"), json.dumps(note).encode("ascii"))
            write_whole(waiting, image)
        return entry

    def _is_missing(self, uid: str, patient: str) -> bool:
        is_there = uid not in self.to_look_at and (self.folder.image(patient, uid).exists() or self.folder.waits(uid))
        return uid not in self.decided and not is_there
