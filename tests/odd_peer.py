"""A PACS with habits of real ones that Orthanc has not; runs on a port of its own."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind as Find,
)
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelGet as Get,
)
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelMove as Move,
)

_AT = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


def film(study: str, series: str, sop: str, *, day: str = "20240301", modality: str = "DX", **more: str) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = ComputedRadiographyImageStorage, sop
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality, ds.StudyDate = study, series, modality, day
    ds.AccessionNumber = more.pop("accession", "")
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return ds


HELD = [
    film("1.2.1", "1.2.1.1", "1.2.1.1.1", day="20240301", accession="A1", StudyDescription="Chest PA"),
    film("1.2.1", "1.2.1.1", "1.2.1.1.2", day="20240301", accession="A1", StudyDescription="Chest PA"),
    film("1.2.1", "1.2.1.2", "1.2.1.2.1", day="20240301", accession="A1", StudyDescription="Chest PA"),
    film("1.2.2", "1.2.2.1", "1.2.2.1.1", day="20240302", modality="CR", accession="A2", StudyDescription="Hand"),
    film("1.2.3", "1.2.3.1", "1.2.3.1.1", day="20240303", accession="A3", StudyDescription="CHEST lateral"),
]


@dataclass
class OddPeer:
    """What a peer holds and how it behaves; `asked` and `sent` count.

    Args:
        held: Images with at least the UIDs, Modality, StudyDate and AccessionNumber.
        omits: It answers unique keys alone.
        pads: It fills UIDs up to 64 characters with blanks and NULs.
        pending: Status of its answers.
        most: It refuses a question that has more answers.
        hangs_up: Answers after which it drops an association; one is dropped for each entry.
        drops: The same for images of a retrieval.
        answers_images: Whether it lists images.
        retrieves_images: Whether it retrieves less than a study.
        destination: AE title and port that it can move to.
        copies: What it sends beside the images with the same UID.

    It ignores all keys but UIDs, the date and the accession number.
    """

    held: list[Dataset]
    omits: bool = False
    pads: bool = False
    pending: int = 0xFF00
    most: int = 10**6
    hangs_up: list[int] = field(default_factory=list)
    drops: list[int] = field(default_factory=list)
    answers_images: bool = True
    retrieves_images: bool = True
    destination: tuple[str, int] | None = None
    copies: list[Dataset] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    def start(self) -> int:
        ae = AE("ODD")
        for model in (Find, Move, Get):
            ae.add_supported_context(model)
        for dataset in [*self.held, *self.copies]:
            ae.add_supported_context(dataset.SOPClassUID, scu_role=True, scp_role=True)
            ae.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
        handlers = [(evt.EVT_C_FIND, self._find), (evt.EVT_C_MOVE, self._move), (evt.EVT_C_GET, self._get)]
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        return int(self._server.server_address[1])

    def stop(self) -> None:
        self._server.shutdown()

    def _matching(self, question: Dataset) -> list[Dataset]:
        first, dash, last = str(question.get("StudyDate", "") or "").partition("-")
        found = []
        for held in self.held:
            keys = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "AccessionNumber")
            fits = all(not question.get(key) or held.get(key, "") in _values(question[key].value) for key in keys)
            in_days = not dash or (first or "0") <= held.StudyDate <= (last or "9")
            if fits and in_days:
                found.append(held)
        return found

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        level = event.identifier.QueryRetrieveLevel
        self.asked.append(level)
        key = _AT[level]
        answers = {held[key].value: held for held in self._matching(event.identifier)}
        if level == "IMAGE" and not self.answers_images:
            yield 0xA900, None
            return
        if len(answers) > self.most:
            yield 0xA700, None
            return
        drop = self.hangs_up.pop(0) if self.hangs_up else None
        for number, held in enumerate(answers.values()):
            if number == drop:
                event.assoc.abort()
                return
            yield self.pending, self._answer(event.identifier, held, key, level)

    def _answer(self, question: Dataset, held: Dataset, key: str, level: str) -> Dataset:
        answer = Dataset()
        answer.QueryRetrieveLevel = level
        uid = str(held[key].value)
        padded = (uid + "\0").ljust(64) if self.pads else uid
        answer.add(DataElement(key, "UI", padded, validation_mode=config.IGNORE))
        if level == "SERIES":
            answer.Modality = held.Modality  # required at this level
        if level == "STUDY" and not self.omits:
            answer.ModalitiesInStudy, answer.StudyDescription = held.Modality, held.get("StudyDescription", "")
            study = [each for each in self.held if each.StudyInstanceUID == held.StudyInstanceUID]
            answer.NumberOfStudyRelatedInstances = str(len(study))
        return answer

    def _images(self, event: Any) -> Iterator[Dataset]:
        wanted = self._matching(event.identifier)
        uids = {each.SOPInstanceUID for each in wanted}
        wanted += [copy for copy in self.copies if copy.SOPInstanceUID in uids]
        yield len(wanted)  # type: ignore[misc]
        drop = self.drops.pop(0) if self.drops else None
        for number, held in enumerate(wanted):
            if number == drop:
                threading.Thread(target=event.assoc.abort).start()
                return
            self.sent.append(str(held.SOPInstanceUID))
            yield 0xFF00, held  # type: ignore[misc]

    def _get(self, event: Any) -> Iterator[Any]:
        if event.identifier.QueryRetrieveLevel == "IMAGE" and not self.retrieves_images:
            yield 1
            yield 0xA900, None
            return
        yield from self._images(event)

    def _move(self, event: Any) -> Iterator[Any]:
        if self.destination is None or event.move_destination != self.destination[0]:
            yield None, None
            return
        yield "127.0.0.1", self.destination[1], {"ae_title": self.destination[0]}
        yield from self._images(event)


def _values(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) or hasattr(value, "insert") else [str(value)]
