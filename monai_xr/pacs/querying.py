"""Asks a peer which studies and images it has, by C-FIND or QIDO-RS.

Peers differ: some leave out every key that is not required (PS3.4 C.6.2), ignore what they cannot match, pad UIDs, page
their answers, refuse too many or hang up in the middle. Nothing that names a patient is asked for.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import build_context

from monai_xr.data.files.tables import read_table, require_columns
from monai_xr.dicom.chest import SOP_CLASSES
from monai_xr.dicom.values import quiet, text, uid
from monai_xr.errors import InputDataError, NetworkError
from monai_xr.pacs.peers import PassingNetworkError, association, patiently, web_client, web_errors
from monai_xr.pacs.site import Peer, Site

_KEYS = {
    "STUDY": ("StudyInstanceUID", "ModalitiesInStudy", "StudyDescription", "NumberOfStudyRelatedInstances"),
    "SERIES": ("SeriesInstanceUID", "Modality"),
    "IMAGE": ("SOPInstanceUID", "SOPClassUID"),
}
_ACCESSION_COLUMNS = ("accession", "accession_number", "accessionnumber")
_STUDY_COLUMNS = ("study_uid", "study_instance_uid", "studyinstanceuid")
_STUDY_UID = re.compile(r"[0-9.]{1,64}")
_ACCESSION = re.compile(r"[^*?\\\x00-\x1f]{1,16}")  # a pattern would match other patients, too
_MODALITIES = ("CR", "DX", "RG", "OT", "SC")  # of films, where a peer does not tell the class
_PAGE = 200
_MODEL = UID("1.2.840.10008.5.1.4.1.2.2.1")  # Study Root Query/Retrieve Information Model - FIND
_SEARCH = {"STUDY": "search_for_studies", "SERIES": "search_for_series", "IMAGE": "search_for_instances"}
_ABOVE = {"StudyInstanceUID": "study_instance_uid", "SeriesInstanceUID": "series_instance_uid"}
_PENDING = (0xFF00, 0xFF01)  # 0xFF01: an optional key was not matched, so more may come than was asked for
_TOO_MANY = (0xA700, 0xA701)

Find = Callable[[str, dict[str, str]], list[Dataset]]


class NotAnsweredError(NetworkError):
    """A peer that does not answer a question of this kind."""


class TooManyAnswersError(NetworkError):
    """A peer that has more answers than it gives."""


@dataclass(frozen=True)
class Wanted:
    """Which studies are wanted; what is given must all hold, and of a list any.

    The description is a pattern as in `*CHEST*`, in any case; both days count.
    """

    study_uids: tuple[str, ...] = ()
    accessions: tuple[str, ...] = ()
    first_day: date | None = None
    last_day: date | None = None
    modality: str = ""
    description: str = ""


class FoundImage(NamedTuple):
    """Where one image is."""

    sop_uid: str
    series_uid: str


class FoundStudy(NamedTuple):
    """A study of a peer; `images` is the count it tells, if it does."""

    uid: str
    modalities: tuple[str, ...]
    description: str
    images: int | None


def read_wanted(path: Path, wanted: Wanted) -> Wanted:
    """Add the accession numbers or Study Instance UIDs of a CSV file.

    Raises:
        InputDataError: It has neither column, or a value that cannot be one number alone: the line is named.
    """
    rows = read_table(path)
    require_columns(rows, path, (*_ACCESSION_COLUMNS, *_STUDY_COLUMNS))
    uids, accessions = [], []
    for row in rows:
        if value := row.first(*_STUDY_COLUMNS):
            uids.append(_checked(value, _STUDY_UID, row.line, path))
        elif value := row.first(*_ACCESSION_COLUMNS):
            accessions.append(_checked(value, _ACCESSION, row.line, path))
    return replace(wanted, study_uids=(*wanted.study_uids, *uids), accessions=(*wanted.accessions, *accessions))


def _checked(value: str, allowed: re.Pattern[str], line: int, path: Path) -> str:
    if not allowed.fullmatch(value):
        raise InputDataError(f"line {line} holds no study UID or accession number", path, "no patterns, no lists")
    return value


def finder(peer: Peer, calling: str, *, tries: int = 5, wait: Callable[[float], None] = time.sleep) -> Find:
    """Give the function that asks a peer at a level, STUDY, SERIES or IMAGE, what matches, with patience.

    It raises NetworkError where the peer cannot or does not answer.
    """
    ask = _qido if peer.query == "qido" else _c_find
    return lambda level, match: patiently(lambda: ask(peer, calling, level, match), tries=tries, wait=wait)


def find_studies(find: Find, wanted: Wanted) -> Iterator[FoundStudy]:
    """Give the wanted studies, each once, as the answers come.

    Raises:
        NetworkError: The peer does not answer, or has too many for one day.
    """
    seen: set[str] = set()
    for match in _questions(wanted):
        for answer in _asked_in_parts(find, match):
            study = _study(answer)
            if wanted.description and "StudyDescription" not in answer:
                raise NetworkError("the peer tells no StudyDescription", "", "choose by dates, modality or a list")
            if study.uid and study.uid not in seen and _fits(find, study, wanted):
                seen.add(study.uid)
                yield study


def find_images(find: Find, study_uid: str) -> list[FoundImage]:
    """Give the films of a study, each once; none where the peer does not list images."""
    images = {}
    try:
        for series in find("SERIES", {"StudyInstanceUID": study_uid}):
            if series_uid := uid(series, "SeriesInstanceUID"):
                match = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
                for image in find("IMAGE", match):
                    sop_uid, kind = uid(image, "SOPInstanceUID"), uid(image, "SOPClassUID")
                    if sop_uid and (kind in SOP_CLASSES if kind else text(series, "Modality") in _MODALITIES):
                        images[sop_uid] = FoundImage(sop_uid, series_uid)
    except NotAnsweredError:
        return []
    return list(images.values())


def count_images(find: Find, study_uid: str) -> int | None:
    """Count the films that a peer has of a study: as it lists them, else as it says, else None."""
    if images := find_images(find, study_uid):
        return len(images)
    answers = map(_study, find("STUDY", {"StudyInstanceUID": study_uid}))
    return next((study.images for study in answers if study.uid == study_uid), None)


def counted(site: Site, study_uid: str) -> int | None:
    """Count the films that the peer named by `queue.ask` has of a study, asked once."""
    peer = site.peers.get(site.queue.ask or "")
    return count_images(finder(peer, site.receiver.ae_title, tries=1), study_uid) if peer else None


def _questions(wanted: Wanted) -> Iterable[dict[str, str]]:
    """One question for each study or accession number, else one for all; values are never joined to lists."""
    common = {}
    if wanted.first_day or wanted.last_day:
        first, last = (day.strftime("%Y%m%d") if day else "" for day in (wanted.first_day, wanted.last_day))
        common["StudyDate"] = f"{first}-{last}"
    if wanted.modality:
        common["ModalitiesInStudy"] = wanted.modality
    yield from ({**common, "StudyInstanceUID": each} for each in wanted.study_uids)
    yield from ({**common, "AccessionNumber": each} for each in wanted.accessions)
    if not (wanted.study_uids or wanted.accessions):
        yield common


def _asked_in_parts(find: Find, match: dict[str, str]) -> Iterator[Dataset]:
    """Ask; where that is too much for the peer, ask for both halves of the days."""
    try:
        yield from find("STUDY", match)
    except TooManyAnswersError:
        first, _, last = match.get("StudyDate", "").partition("-")
        last = last or f"{date.today():%Y%m%d}"
        if not first or first >= last:
            raise
        days = date.fromisoformat(first), date.fromisoformat(last)
        middle = days[0] + (days[1] - days[0]) // 2
        for part in ((days[0], middle), (middle + timedelta(1), days[1])):
            yield from _asked_in_parts(find, match | {"StudyDate": f"{part[0]:%Y%m%d}-{part[1]:%Y%m%d}"})


def _study(answer: Dataset) -> FoundStudy:
    count = text(answer, "NumberOfStudyRelatedInstances")
    modalities = tuple(filter(None, text(answer, "ModalitiesInStudy").split("\\")))
    images = int(count) if count.isdecimal() else None
    return FoundStudy(uid(answer, "StudyInstanceUID"), modalities, text(answer, "StudyDescription"), images)


def _fits(find: Find, study: FoundStudy, wanted: Wanted) -> bool:
    """Whether what a peer gave is what was asked for, as far as it tells: some ignore the keys they cannot match."""
    if wanted.study_uids and study.uid not in wanted.study_uids:
        return False
    if not fnmatchcase(study.description.upper(), wanted.description.upper() or "*"):
        return False  # matched here alone: peers distinguish cases (PS3.4 C.2.2.2.4)
    if not wanted.modality:
        return True
    modalities = study.modalities or [text(s, "Modality") for s in find("SERIES", {"StudyInstanceUID": study.uid})]
    return wanted.modality in modalities


def identifier_of(level: str, values: Mapping[str, Any]) -> Dataset:
    """Make the identifier of a query or retrieval."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in values.items():
        setattr(identifier, keyword, value)
    return identifier


def _c_find(peer: Peer, calling: str, level: str, match: dict[str, str]) -> list[Dataset]:
    found, status = [], None
    with association(peer, calling, [build_context(_MODEL)]) as opened:
        for answer, one in opened.send_c_find(identifier_of(level, dict.fromkeys(_KEYS[level], "") | match), _MODEL):
            status = answer.get("Status")
            if status in _PENDING and one is not None:
                found.append(one)
    if status is None:
        raise PassingNetworkError("hung up before its last answer", peer.ae_title, "see the peer's log")
    if status in _TOO_MANY:
        raise TooManyAnswersError("too many answers for it (0xA700)", peer.ae_title, "ask for fewer days")
    if status:
        raise NotAnsweredError(f"C-FIND failed with 0x{status:04X}", peer.ae_title, "may our AE title query there?")
    return found


def _qido(peer: Peer, calling: str, level: str, match: dict[str, str]) -> list[Dataset]:
    client, keys = web_client(peer), _KEYS[level]
    above = {_ABOVE[keyword]: match[keyword] for keyword in _ABOVE if level != "STUDY" and keyword in match}
    filters = {keyword: value for keyword, value in match.items() if level == "STUDY" or keyword not in _ABOVE}
    search = getattr(client, _SEARCH[level])
    found: dict[str, Dataset] = {}
    at = 0
    while True:
        with web_errors(peer):
            page = search(**above, search_filters=filters, fields=keys, limit=_PAGE, offset=at)
        answers = {uid(answer, keys[0]): answer for answer in map(_from_json, page)}
        if not answers.keys() - found.keys():  # the end, or a peer that knows no offsets
            return list(found.values())
        found |= answers
        at += len(page)


def _from_json(answer: Any) -> Dataset:
    try:
        with quiet():
            return Dataset.from_json(answer)
    except Exception:  # pydicom raises many kinds, and repeats values
        raise NetworkError("an answer is not DICOM JSON", "QIDO-RS", "check the path of the peer's url") from None
