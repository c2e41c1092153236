"""Scores de-identified copies of the phantom set by the ten actions of the MIDI-B benchmark.

MIDI-B (TCIA and RSNA, 2024) counts, element by element: tags retained, text not null, text retained, text removed,
dates shifted, UIDs changed, UIDs consistent, patient ids consistent, pixels hidden, pixels retained. The verifier
re-reads the bytes of every output and shares no rule table with the de-identifier.

Run as a script it prints the table for monai_xr and for the packages of the index that are installed.
"""

import io
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pydicom
from deidentification_set import CHARACTERISTICS, DATES, KEPT, UIDS, Film, studies
from pydicom.dataset import Dataset

ACTIONS = ("tag retained", "text not null", "text retained", "text removed", "date shifted", "uid changed",
           "uid consistent", "patient id consistent", "pixels hidden", "pixels retained")  # fmt: skip
# Bytes that may go out, None where the film is held back for a person to look at.
Deidentifier = Callable[[list[Film]], list[bytes | None]]


@dataclass
class Score:
    """Counts by action, and what was missed."""

    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)

    def add(self, action: str, is_right: bool, what: str) -> None:
        (self.right if is_right else self.wrong)[action] += 1
        if not is_right:
            self.missed.append(f"{action}: {what}")

    def share(self, *actions: str) -> float:
        """Give the share of right ones in some actions, all where none is named."""
        named = actions or ACTIONS
        right, wrong = (sum(counts[action] for action in named) for counts in (self.right, self.wrong))
        return right / (right + wrong)

    def table(self, name: str) -> str:
        """Write the counts as one table."""
        rows = [f"{name:24s}  right     of       %"]
        for action in (*ACTIONS, "all"):
            named = ACTIONS if action == "all" else (action,)
            right, wrong = (sum(counts[each] for each in named) for counts in (self.right, self.wrong))
            rows.append(f"{action:24s}{right:7d}{right + wrong:7d}{100 * right / max(1, right + wrong):8.2f}")
        return "\n".join(rows)


def score(films: list[Film], outputs: list[bytes | None]) -> Score:
    """Judge the outputs of a de-identifier against the answers of the set."""
    found = Score()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = [pydicom.dcmread(io.BytesIO(output), force=True) if output else None for output in outputs]
        for film, output, ds in zip(films, outputs, read, strict=True):
            if film.burned_in != "" or film.ds.BurnedInAnnotation != "NO":
                hidden = ds is None or ds.get("PixelData", b"") != film.pixels
                found.add("pixels hidden", hidden, f"header says {film.burned_in or 'nothing'}")
            if ds is None:
                if film.ds.BurnedInAnnotation == "NO" and not film.burned_in:
                    found.add("pixels retained", False, "not given out")
                continue
            if film.ds.BurnedInAnnotation == "NO" and not film.burned_in:
                found.add("pixels retained", ds.get("PixelData", b"") == film.pixels, "changed or gone")
            _judge_elements(found, film, output or b"", ds)
        _judge_relations(found, films, read)
    return found


def _judge_elements(found: Score, film: Film, output: bytes, ds: Dataset) -> None:
    for keyword, value in {**KEPT, **CHARACTERISTICS}.items():
        found.add("tag retained", keyword in ds, keyword)
        found.add("text not null", bool(str(ds.get(keyword, "")).strip()), keyword)
        if keyword != "BurnedInAnnotation":
            found.add("text retained", _same(ds.get(keyword), value), keyword)
    codes = [(item.get("CodeValue"), item.get("CodingSchemeDesignator")) for item in ds.get("ViewCodeSequence", [])]
    found.add("text retained", codes == [("272479007", "SCT")], "ViewCodeSequence")
    for place, words in film.secrets.items():
        found.add("text removed", not any(word in output for word in words), place)
    for keyword, value in DATES.items():
        shifted = str(ds.get(keyword, ""))
        moved = _days(shifted) is not None and _days(shifted) != _days(value)
        gap = _days(value) - _days(DATES["StudyDate"])
        study = _days(str(ds.get("StudyDate", "")))
        found.add("date shifted", moved and study is not None and _days(shifted) - study == gap, keyword)


def _judge_relations(found: Score, films: list[Film], read: list[Dataset | None]) -> None:
    """UIDs and ids: changed, the same for the same, other for others, and followed by references."""
    pairs = [(film, ds) for film, ds in zip(films, read, strict=True) if ds is not None]
    new: dict[str, set[str]] = {}
    for film, ds in pairs:
        references = [item.get("ReferencedSOPInstanceUID", "") for item in ds.get("ReferencedImageSequence", [])]
        now = [str(ds.get(keyword, "")) for keyword in UIDS] + [str(each) for each in references or [""]]
        before = [str(film.ds[keyword].value) for keyword in UIDS]
        before.append(str(film.ds.ReferencedImageSequence[0].ReferencedSOPInstanceUID))
        for keyword, old, uid in zip((*UIDS, "reference"), before, now, strict=True):
            found.add("uid changed", bool(uid) and uid != old, keyword)
            new.setdefault(old, set()).add(uid)
        meta = str(ds.file_meta.get("MediaStorageSOPInstanceUID", ""))
        found.add("uid consistent", meta == now[0] != "", "file meta")
    every = Counter(uid for uids in new.values() for uid in uids)
    for old, uids in new.items():
        found.add("uid consistent", len(uids) == 1 and every[next(iter(uids))] == 1 and "" not in uids, old)
    ids: dict[int, set[str]] = {}
    for film, ds in pairs:
        ids.setdefault(film.patient, set()).add(str(ds.get("PatientID", "")))
    owners = Counter(each for own in ids.values() for each in own)
    for film, ds in pairs:
        patient_id = str(ds.get("PatientID", ""))
        alone = len(ids[film.patient]) == 1 and owners[patient_id] == 1
        found.add("patient id consistent", bool(patient_id) and patient_id != film.ds.PatientID and alone, patient_id)


def _same(found: object, value: object) -> bool:
    now, before = ([str(each) for each in (x if hasattr(x, "insert") else [x])] for x in (found, value))
    try:
        return [float(each) for each in now] == [float(each) for each in before]
    except ValueError:
        return now == before


def _days(text: str) -> int | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8])).toordinal()
    except ValueError:
        return None


def by_monai_xr(films: list[Film]) -> list[bytes | None]:
    """Ours, with both options; films with text in their pixels, or whose header says so, wait for review."""
    from monai_xr.data.deidentifying.deidentified_folder import encoded
    from monai_xr.data.deidentifying.pixel_text import looked_at
    from monai_xr.dicom.deidentification.data_set import DeidentificationOptions, deidentify
    from monai_xr.dicom.deidentification.pseudonyms import Pseudonyms

    options = DeidentificationOptions(shift_dates=True, keep_characteristics=True)
    key = Pseudonyms(b"k" * 32)
    clean = [deidentify(film.ds, key, options) for film in films]
    outputs: list[bytes | None] = []
    with tempfile.TemporaryDirectory() as folder:
        for ds in clean:
            image = encoded(ds)
            held = (
                ds.get("BurnedInAnnotation") == "YES"
                or looked_at(image, Path(folder), admit=("patient",), times=False).reason
            )
            outputs.append(None if held else image)
    return outputs


def by_dicom_anonymizer(films: list[Film]) -> list[bytes | None]:
    """The package of that name, as it comes."""
    from dicomanonymizer import anonymize_dicom_file

    def through(source: Path, target: Path) -> None:
        anonymize_dicom_file(str(source), str(target))

    return _by_files(films, through)


def by_deid(films: list[Film]) -> list[bytes | None]:
    """The package deid with its default recipe."""
    from deid.dicom import replace_identifiers

    def through(source: Path, target: Path) -> None:
        (made,) = replace_identifiers(dicom_files=[str(source)], save=False, remove_private=True)
        made.save_as(target)

    return _by_files(films, through)


def _by_files(films: list[Film], through: Callable[[Path, Path], None]) -> list[bytes | None]:
    made: list[bytes | None] = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source, target = Path(folder, "in.dcm"), Path(folder, "out.dcm")
        for film in films:
            film.ds.save_as(source, enforce_file_format=True)
            target.unlink(missing_ok=True)
            through(source, target)
            made.append(target.read_bytes())
    return made


DEIDENTIFIERS: dict[str, Deidentifier] = {
    "monai_xr": by_monai_xr,
    "dicom-anonymizer": by_dicom_anonymizer,
    "deid": by_deid,
}


def main() -> None:
    """Print a table for each."""
    films = studies()
    for name, deidentifier in DEIDENTIFIERS.items():
        try:
            found = score(films, deidentifier(films))
        except ImportError as error:
            print(f"{name}: not installed ({error.name})\n")  # noqa: T201
            continue
        print(found.table(name), *sorted(set(found.missed))[:12], "", sep="\n")  # noqa: T201


if __name__ == "__main__":
    main()
