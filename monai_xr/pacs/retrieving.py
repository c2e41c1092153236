"""Wanted studies in; those films of them that the store lacks, fetched from a peer, out, and what is still missing.

A peer in clinical use is not loaded: hours, rate and deadline of the site are kept, and only what is missing is asked
for, so that a retrieval that was stopped goes on where it was. A study is labelled partial in the index before its
first image comes, and until its last is there. A peer that is gone is waited for until the deadline.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from monai_xr.data.identifiers import hashed
from monai_xr.errors import ConfigurationError, NetworkError
from monai_xr.pacs.fetching import Fetch, fetcher, stop_if_full
from monai_xr.pacs.index import Index
from monai_xr.pacs.pace import DeadlineError, Pace
from monai_xr.pacs.peers import PassingNetworkError, UnreachableError, patiently
from monai_xr.pacs.querying import Find, FoundImage, Wanted, find_images, find_studies, finder
from monai_xr.pacs.site import Retrieve, Site
from monai_xr.pacs.storing import NO_SPACE, ObjectStore, free_bytes

NOTHING = Wanted(study_uids=("",))
_SETTLE_S = 10  # some peers say that a move is done while its last images are on the way
_IN_A_ROW = 3  # studies that fail for good before all do


@dataclass(frozen=True)
class StudyPlan:
    """What is to come of a study: `missing` images, or None for all where the peer does not list them."""

    uid: str
    modalities: tuple[str, ...]
    expected: int | None
    missing: list[FoundImage] | None

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.missing == []

    def line(self) -> str:
        """Tell it without an id of the hospital."""
        told = "?" if self.expected is None else str(self.expected)
        lacks = told if self.missing is None else str(len(self.missing))
        state = "complete" if self.complete else "partial" if lacks != told else "wanted"
        return f"{hashed(self.uid)}  {','.join(self.modalities) or '?':8}  {told:>4} images  {lacks:>4} lack  {state}"


def retrieval(site: Site, wait: Callable[[float], None] = time.sleep) -> tuple[Find, str]:
    """Give the function that asks the peer of `retrieve`, and the name of the peer."""
    settings = required(site)
    peer = site.peers[settings.peer]
    return finder(peer, site.receiver.ae_title, tries=settings.tries, wait=wait), settings.peer


def required(site: Site) -> Retrieve:
    """Give the section `retrieve`, which a site that retrieves must have."""
    if site.retrieve is None:
        raise ConfigurationError("no section retrieve", "site.yaml", "name its peer and method")
    return site.retrieve


def plan(find: Find, index: Index, wanted: Wanted) -> Iterable[StudyPlan]:
    """Give the wanted studies with what the store lacks of them."""
    for study in find_studies(find, wanted) if wanted is not NOTHING else ():
        yield _compare(find, index, StudyPlan(study.uid, study.modalities, study.images, None))


def _compare(find: Find, index: Index, study: StudyPlan) -> StudyPlan:
    held = {row.sop_uid for row in index.objects(study.uid)}
    if study.expected is not None and len(held) == study.expected:
        return StudyPlan(study.uid, study.modalities, study.expected, [])
    if images := find_images(find, study.uid):
        missing = [image for image in images if image.sop_uid not in held]
        return StudyPlan(study.uid, study.modalities, len(images), missing)
    return study


def unfinished(index: Index, peer: str) -> Wanted:
    """Give the studies whose retrieval began and did not end."""
    rows = index.rows("SELECT study_uid FROM retrievals WHERE peer = ? AND state = 'partial'", (peer,))
    return Wanted(study_uids=tuple(uid for (uid,) in rows)) if rows else NOTHING


def give_up(index: Index, peer: str) -> None:
    """Let the partial studies of a peer be processed as they are."""
    index.execute("UPDATE retrievals SET state = 'given up' WHERE peer = ? AND state = 'partial'", (peer,))


def pull(
    site: Site, store: ObjectStore, wanted: Wanted, *, pace: Pace | None = None, say: Callable[[str], None] = print
) -> tuple[int, int]:
    """Fetch what is missing of the wanted studies; give how many are complete and how many partial.

    Raises:
        NetworkError: The peer cannot be asked, or refuses several studies in a row.
        HostError: The disk is full.
    """
    settings = required(site)
    pace = pace or Pace(settings)
    find, name = retrieval(site, pace.wait)
    fetch = fetcher(settings.method, site.peers[name], site.receiver.ae_title, store, pace)
    job = _Job(store, name, fetch, pace, say)
    try:
        todo = [study for study in plan(find, store.index, wanted) if not job.note(study).complete]
        for round_ in range(settings.tries):
            todo = [after for study in todo if not (after := job.fetch(study)).complete]
            if todo and round_ + 1 < settings.tries:
                pace.wait(2**round_)
    except DeadlineError as late:
        say(str(late))
    return job.counts()


class _Job:
    """One retrieval: where it notes, with what it fetches."""

    def __init__(self, store: ObjectStore, peer: str, fetch: Fetch, pace: Pace, say: Callable[[str], None]) -> None:
        self._store, self._index, self._peer = store, store.index, peer
        self._fetch, self._pace, self._say = fetch, pace, say
        self._states: dict[str, bool] = {}
        self._in_a_row = 0

    def note(self, study: StudyPlan, reason: str | None = None) -> StudyPlan:
        """Label the study in the index."""
        state = "complete" if study.complete else "partial"
        self._states[study.uid] = study.complete
        sql = """INSERT INTO retrievals (peer, study_uid, state, expected, reason) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET state = excluded.state, expected = excluded.expected, tries = tries + 1,
            reason = excluded.reason"""
        self._index.execute(sql, (self._peer, study.uid, state, study.expected, reason))
        return study

    def fetch(self, study: StudyPlan) -> StudyPlan:
        """Fetch what is missing of a study once; give what still is."""
        if free_bytes(self._store.settings) <= 0:  # of a move the peer alone is told so
            stop_if_full([NO_SPACE])
        self._pace.turn(len(study.missing or ()) or study.expected or 1)
        reason = None
        try:
            patiently(lambda: self._try(study), tries=math.inf, wait=self._pace.wait, on=UnreachableError)
            self._in_a_row = 0
        except DeadlineError:
            raise
        except NetworkError as error:
            reason = error.what
            self._say(f"{hashed(study.uid)}: {error}")
            self._in_a_row += not isinstance(error, PassingNetworkError)
            if self._in_a_row >= _IN_A_ROW:
                raise
        after = self._arrived(study, patient=reason is None)
        return self.note(after, reason)

    def _try(self, study: StudyPlan) -> None:
        try:
            self._fetch(study.uid, study.missing)
        except UnreachableError as error:
            self._say(str(error))
            raise

    def _arrived(self, study: StudyPlan, *, patient: bool) -> StudyPlan:
        """Compare with the store until all is there, or for as long as it may be on the way."""
        end = time.monotonic() + (_SETTLE_S if patient else 0)
        while True:
            held = {row.sop_uid for row in self._index.objects(study.uid)}
            missing: list[FoundImage] | None = None
            if study.missing is None:
                missing = [] if held and len(held) >= (study.expected or 1) else None
            else:
                missing = [image for image in study.missing if image.sop_uid not in held]
            if missing == [] or time.monotonic() >= end:
                return StudyPlan(study.uid, study.modalities, study.expected, missing)
            self._pace.wait(0.05)

    def counts(self) -> tuple[int, int]:
        """Count the complete and the partial studies."""
        complete = sum(self._states.values())
        return complete, len(self._states) - complete
