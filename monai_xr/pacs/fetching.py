"""Fetches the images that are missing from a peer into the store: by C-MOVE through our receiver, C-GET or WADO-RS."""

from collections.abc import Callable, Iterator
from email.message import Message
from itertools import groupby
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import RLELossless
from pynetdicom import build_context, build_role, evt

from monai_xr.dicom.chest import SOP_CLASSES
from monai_xr.dicom.pixels.decoding import JPEG, JPEG_2000, JPEG_LS, NATIVE
from monai_xr.errors import HostError, NetworkError
from monai_xr.pacs.pace import DeadlineError, Pace
from monai_xr.pacs.peers import PassingNetworkError, association, web_errors, web_session
from monai_xr.pacs.querying import FoundImage, identifier_of
from monai_xr.pacs.site import Peer
from monai_xr.pacs.spooling import split_file
from monai_xr.pacs.storing import OUT_OF_RESOURCES, Answer, ObjectStore, Refused

_MOVE_MODEL, _GET_MODEL = "1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.5.1.4.1.2.2.3"
SYNTAXES = (*NATIVE, *JPEG, *JPEG_LS, *JPEG_2000, RLELossless)  # what is decoded; nothing Deflated
_PASSING = (0xA700, 0xB000, 0xFE00)  # out of resources, some images failed, cancelled
_UIDS_A_REQUEST = 100

Fetch = Callable[[str, list[FoundImage] | None], None]


def fetcher(method: str, peer: Peer, calling: str, store: ObjectStore, pace: Pace) -> Fetch:
    """Give the function that fetches images of a study, or with None the study; it is asked again for what is missing.

    It raises PassingNetworkError where that may help, NetworkError where it does not, HostError where our disk is full.
    """
    if method == "wado":
        return lambda study, images: _wado(peer, pace, store, study, images)

    def ask(study: str, images: list[FoundImage] | None) -> None:
        retrieve = _c_move if method == "c-move" else _c_get
        for identifier in _identifiers(study, images):
            retrieve(peer, calling, identifier, pace, store)

    def fetch(study: str, images: list[FoundImage] | None) -> None:
        try:
            ask(study, images)
        except NetworkError as error:
            if images is None or isinstance(error, PassingNetworkError | DeadlineError):
                raise
            ask(study, None)  # some peers retrieve nothing less than a study

    return fetch


def _identifiers(study: str, images: list[FoundImage] | None) -> Iterator[Dataset]:
    """One identifier for the study, or for at most 100 images of a series each."""
    if images is None:
        yield identifier_of("STUDY", {"StudyInstanceUID": study})
        return
    for series, members in groupby(sorted(images, key=lambda image: image.series_uid), lambda image: image.series_uid):
        uids = [image.sop_uid for image in members]
        for at in range(0, len(uids), _UIDS_A_REQUEST):
            above = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
            yield identifier_of("IMAGE", above | {"SOPInstanceUID": uids[at : at + _UIDS_A_REQUEST]})


def _c_move(peer: Peer, calling: str, identifier: Dataset, pace: Pace, store: ObjectStore) -> None:
    with association(peer, calling, [build_context(_MOVE_MODEL)]) as opened:
        _finish(opened.send_c_move(identifier, calling, _MOVE_MODEL), peer, pace)


def getting() -> dict[str, Any]:
    """Give the contexts and roles of an association for C-GET."""
    # A context for each syntax: with several in one, the peer may choose one and convert.
    contexts = [build_context(kind, syntax) for kind in SOP_CLASSES for syntax in SYNTAXES]
    roles = [build_role(kind, scp_role=True) for kind in SOP_CLASSES]
    return {"contexts": [build_context(_GET_MODEL), *contexts], "roles": roles}


def _c_get(peer: Peer, calling: str, identifier: Dataset, pace: Pace, store: ObjectStore) -> None:
    answers: list[Answer] = []

    def keep(event: Any) -> int:
        request = event.request
        answer = _keep(
            store,
            event.encoded_dataset(include_meta=False),
            sop_class=str(request.AffectedSOPClassUID),
            sop_uid=str(request.AffectedSOPInstanceUID),
            transfer_syntax=str(event.context.transfer_syntax),
            sender=peer.ae_title,
        )
        answers.append(answer)
        return answer.status if isinstance(answer, Refused) else 0

    with association(peer, calling, **getting(), handlers=[(evt.EVT_C_STORE, keep)]) as opened:
        try:
            _finish(opened.send_c_get(identifier, _GET_MODEL), peer, pace)
        finally:
            stop_if_full(*answers)


def _finish(answers: Iterator[tuple[Dataset, Dataset | None]], peer: Peer, pace: Pace) -> None:
    """Take the answers of a retrieval up to the last, which tells how it went (PS3.4 tables C.4-2 and C.4-3)."""
    status = None
    for answer, _ in answers:
        status = answer.get("Status")
        pace.wait(0)
    if status == 0:
        return
    if status is None:
        raise PassingNetworkError("hung up in the middle", peer.ae_title, "see the peer's log")
    if status & 0xFF00 in _PASSING:
        raise PassingNetworkError(f"not all images were sent (0x{status:04X})", peer.ae_title, "see the peer's log")
    way_out = "enter our AE title, host and port there as a destination"
    raise NetworkError(f"retrieval failed with 0x{status:04X}", peer.ae_title, way_out)


def _wado(peer: Peer, pace: Pace, store: ObjectStore, study: str, images: list[FoundImage] | None) -> None:
    if images is None:
        raise NetworkError("the peer does not list the images of a study", peer.ae_title, "retrieve by c-move or c-get")
    session, url = web_session(peer)
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    for image in images:
        pace.wait(0)
        with (
            web_errors(peer),
            session.get(
                f"{url}/studies/{study}/series/{image.series_uid}/instances/{image.sop_uid}",
                headers={"Accept": accept},
                stream=True,
                timeout=peer.timeout_s,
            ) as answer,
        ):
            answer.raise_for_status()
            body = _read(answer, store.settings.max_object_mb * 2**20)
        part = _part(body, answer.headers.get("Content-Type", ""), peer)
        try:
            facts, begin = split_file(part)
        except Exception:  # pydicom raises many kinds on damaged files
            where = f"WADO-RS of {peer.ae_title}"
            raise NetworkError("the answer is no DICOM file", where, "see the peer's log") from None
        stop_if_full(_keep(store, memoryview(part)[begin:], **facts | {"sender": peer.ae_title}))


def _read(answer: Any, most: int) -> bytes:
    body = bytearray()
    for chunk in answer.iter_content(2**16):
        body += chunk
        if len(body) > most:
            raise NetworkError(f"an image of more than {most} bytes", "WADO-RS", "raise max_object_mb if it is right")
    return bytes(body)


def _part(body: bytes, content_type: str, peer: Peer) -> bytes:
    """Give the one part of a multipart answer; one without its end was cut on the way."""
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_type() == "application/dicom":  # against PS3.18 section 8.7.3.2, but seen
        return body
    boundary = (header.get_boundary() or "").encode()
    begin, end = body.find(b"\r\n\r\n"), body.rfind(b"\r\n--" + boundary + b"--")
    if header.get_content_type() != "multipart/related" or not boundary:
        raise NetworkError("the answer is not DICOM", f"WADO-RS of {peer.ae_title}", "check the path of its url")
    if not 0 <= begin < end:
        raise PassingNetworkError("the answer was cut", f"WADO-RS of {peer.ae_title}", "see the peer's log")
    return body[begin + 4 : end]


def _keep(store: ObjectStore, data: Any, **facts: str) -> Answer:
    spooled = store.spool(**facts)
    spooled.write(data)
    return store.add(spooled)


def stop_if_full(*answers: Answer) -> None:
    """Raise a HostError where an answer of the store is that the disk is full."""
    for answer in answers:
        if isinstance(answer, Refused) and answer.status == OUT_OF_RESOURCES:
            raise HostError(f"nothing more can be stored: {answer.reason}", "store", "free space, then pull again")
