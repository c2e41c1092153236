"""Records and carries out what a person decides on the images in quarantine: `review_folder`."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pydicom

from monai_xr.data.deidentifying.deidentified_folder import (
    MAY_GO_OUT,
    REPORT,
    DeidentifiedFolder,
    disk_trouble,
    encoded,
)
from monai_xr.data.deidentifying.deidentified_labels import write_labels
from monai_xr.data.deidentifying.pixel_text import BLACKED_OUT, Boxes, cleaned, vouch
from monai_xr.data.files.json_lines import add_line
from monai_xr.data.files.output import write_whole
from monai_xr.dicom.values import quiet
from monai_xr.disk import sync
from monai_xr.errors import ConfigurationError, InputDataError

RELEASED, REJECTED, BLANKED = "released", "rejected", "blanked"
_SHORTEST_NAME = 6
_LOOKED_AT = "a person looked at the pixels"
_LETS_OUT = {RELEASED: _LOOKED_AT, BLANKED: BLACKED_OUT}
_ORIGINS = ("patient", "phantom")


@dataclass(frozen=True)
class WaitingImage:
    """An image in quarantine; `name` is what to call it, the end of its SOP Instance UID.

    Attributes:
        boxes: Where text was found: top, left, bottom, right in the upright film.
        sha256: Of the file, as it was written here; several while its text is being blacked out.
    """

    path: Path
    sop_uid: str
    reason: str
    patient_id: str
    boxes: Boxes = ()
    sha256: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last 8 digits of the UID."""
        return self.sop_uid[-8:]


def is_ended(output: str | Path) -> bool:
    """Tell whether the last run of `deidentify` came to its end; an intake, which has none, always has.

    Raises:
        ConfigurationError: Not the output of a de-identification.
    """
    report = _folder(output).root / REPORT
    return not report.exists() or bool(json.loads(report.read_bytes()).get("ended", True))


def waiting_images(output: str | Path) -> tuple[WaitingImage, ...]:
    """List what waits for review, in a fixed order.

    Raises:
        ConfigurationError: Not the output of a de-identification.
    """
    folder = _folder(output)
    return tuple(_waiting(path) for path in sorted(folder.quarantine.glob("*.dcm")))


def review_folder(
    output: str | Path,
    *,
    release: Sequence[str] = (),
    reject: Sequence[str] = (),
    blank: Sequence[str] = (),
    by: str,
    allow_times: bool = False,
) -> int:
    """Record the decisions of a person, then carry them out. Returns the number of decisions.

    A released image moves to `images` as it is, a blanked one once no text is found in it any more.

    Args:
        output: Of a de-identification.
        release: Images that name no patient in their pixels: SOP Instance UIDs or unambiguous ends of them.
        reject: Images that must not go out.
        blank: Images whose text is to be blacked out.
        by: Who decided.
        allow_times: Times of exposure need not be blacked out.

    Raises:
        ConfigurationError: Nobody's name, or a wrong one of an image: nothing is decided then; no text to black out.
        InputDataError: An image is damaged, cannot be looked at, or text is still found in it.
    """
    folder, by = _folder(output), by.strip()
    if not by or not by.isprintable() or len(by) > 64:
        raise ConfigurationError("nobody is named who decides", "by", "give a name of at most 64 characters")
    with disk_trouble(), folder.locked():
        carry_out_decisions(folder)
        wanted = _wanted(folder, {RELEASED: release, REJECTED: reject, BLANKED: blank})
        _blank([image for decision, image in wanted if decision == BLANKED], times=allow_times)
        for decision, image in wanted:
            add_line(folder.decisions, _line(decision, image, by))
        carry_out_decisions(folder)
        write_labels(folder)
        if not waiting_images(output):
            folder.remove_sheets()
    return len(wanted)


def _wanted(folder: DeidentifiedFolder, choices: Mapping[str, Sequence[str]]) -> list[tuple[str, WaitingImage]]:
    """Give each image that is decided on, with the decision."""
    waiting, decided = waiting_images(folder.root), folder.decided()
    wanted = [(decision, _named(waiting, name, decided)) for decision, names in choices.items() for name in names]
    if len({image.sop_uid for _, image in wanted}) < len(wanted):
        raise ConfigurationError("an image is named twice", "release, reject, blank", "name each once")
    for _, image in wanted:
        _check_whole(image)
    return wanted


def _blank(images: Sequence[WaitingImage], *, times: bool) -> None:
    for image in images:
        _write_blanked(image, encoded(cleaned(image.path, image.boxes, admit=_ORIGINS, times=times)))


def _check_whole(image: WaitingImage) -> None:
    """Refuse to decide on a file that is not the one which was written here.

    Raises:
        InputDataError: It is another, or damaged.
    """
    if image.sha256 and sha256(image.path.read_bytes()).hexdigest() not in image.sha256:
        raise InputDataError(
            "damaged or changed since it was de-identified", image.path, "delete it and run monai-xr deidentify again"
        )


def _write_blanked(image: WaitingImage, content: bytes) -> None:
    """Write the note first, so that the file is known whether or not the process is killed before it is there."""
    note = image.path.with_suffix(".json")
    told = json.loads(note.read_text(encoding="ascii"))
    told["sha256"] = [sha256(each).hexdigest() for each in (image.path.read_bytes(), content)]
    write_whole(note, json.dumps(told).encode("ascii"))
    write_whole(image.path, content)


def _line(decision: str, image: WaitingImage, by: str) -> dict[str, str]:
    return {
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "decision": decision,
        "by": by,
        "sop_instance_uid": image.sop_uid,
        "reason_to_wait": image.reason,
        "sha256": sha256(image.path.read_bytes()).hexdigest(),
    }


def carry_out_decisions(folder: DeidentifiedFolder) -> None:
    """Move what has been decided on out of the quarantine; also what a killed review left there."""
    for uid, line in folder.decided().items():
        path, note = folder.waiting(uid), folder.waiting(uid).with_suffix(".json")
        if not (path.exists() or note.exists()):
            continue
        if line["decision"] in _LETS_OUT:
            if path.exists():
                _let_out(folder, path, line)
        else:
            for each in filter(Path.exists, (path, note)):
                os.replace(each, folder.rejected / each.name)
        path.unlink(missing_ok=True)
        note.unlink(missing_ok=True)
        sync(folder.quarantine)


def _let_out(folder: DeidentifiedFolder, path: Path, line: Mapping[str, str]) -> None:
    if sha256(path.read_bytes()).hexdigest() != line["sha256"]:
        raise InputDataError("not the file that was decided on", path, "delete it: it stays decided on")
    with quiet():
        ds = pydicom.dcmread(path)
        vouch(ds, _LETS_OUT[line["decision"]])
        place = folder.image(str(ds.PatientID), str(ds.SOPInstanceUID))
        content = encoded(ds)
    place.parent.mkdir(exist_ok=True)
    write_whole(place, content, mode=MAY_GO_OUT)


def _folder(output: str | Path) -> DeidentifiedFolder:
    folder = DeidentifiedFolder(Path(output).expanduser())
    if not folder.quarantine.is_dir():
        raise ConfigurationError("not the output of monai-xr deidentify", "the folder", "name its second folder")
    return folder


def _waiting(path: Path) -> WaitingImage:
    try:
        note = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
        boxes = tuple((int(top), int(left), int(low), int(right)) for top, left, low, right in note.get("boxes", ()))
        digests = tuple(map(str, note.get("sha256", ())))
        return WaitingImage(path, path.stem, str(note["reason"]), str(note["patient_id"]), boxes, digests)
    except (OSError, TypeError, ValueError, KeyError):
        raise InputDataError("its JSON is missing or damaged", path, "run monai-xr deidentify again") from None


def _named(waiting: Sequence[WaitingImage], name: str, decided: Mapping[str, Mapping[str, str]]) -> WaitingImage:
    name = name.strip()
    fitting = [image for image in waiting if image.sop_uid.endswith(name)]
    if len(fitting) == 1 and len(name) >= _SHORTEST_NAME:
        return fitting[0]
    what = f"{len(fitting)} waiting images are called so"
    if len(name) < _SHORTEST_NAME:
        what = f"an ID of {len(name)} characters"
    elif before := {line["decision"] for uid, line in decided.items() if uid.endswith(name)} if not fitting else ():
        what = f"that image does not wait: it was {' or '.join(sorted(before))} before"
    raise ConfigurationError(what, "release, reject, blank", "give an ID of the list, 6 digits or more")
