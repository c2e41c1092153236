"""Fetches from a peer those films of the wanted studies that the store lacks, and tells what is still missing.

A peer in clinical use is not loaded: hours, rate and deadline of the site are kept, and only what is missing is asked
for, so that a retrieval that was stopped goes on where it was. A study is labelled partial in the index before its
first image comes, and until its last is there. A peer that is gone is waited for until the deadline.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from monai_xr.data.identifiers import hashed
from monai_xr.errors import NetworkError
from monai_xr.pacs.fetching import Fetch, fetcher, stop_if_full
from monai_xr.pacs.index import Index
from monai_xr.pacs.pace import DeadlineError, Pace
from monai_xr.pacs.peers import PassingNetworkError, UnreachableError, patiently
from monai_xr.pacs.querying import Find, FoundImage, Wanted, find_images, find_studies, finder
from monai_xr.pacs.site import Site, required
from monai_xr.pacs.storing import NO_SPACE, ObjectStore, free_bytes
from monai_xr.progress import progress_bar

NOTHING = Wanted(study_uids=("",))
_SETTLE_S = 10  # some peers say that a move is done while its last images are on the way
_IN_A_ROW = 3  # studies that fail for good before all do


class StudyPlan(NamedTuple):
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


def retrieval(site: Site, wait: Callable[[float], None] = time.sleep) -> Find:
    """Give the function that asks the peer of `retrieve`."""
    settings = required(site.retrieve, "retrieve")
    return finder(site.peers[settings.peer], site.receiver.ae_title, tries=settings.tries, wait=wait)


def plan(find: Find, index: Index, wanted: Wanted) -> Iterable[StudyPlan]:
    """Give the wanted studies with what the store lacks of them."""
    for found in find_studies(find, wanted) if wanted is not NOTHING else ():
        study = StudyPlan(found.uid, found.modalities, found.images, None)
        if found.images is not None and len(index.objects(found.uid)) == found.images:
            yield study._replace(missing=[])
        elif images := find_images(find, found.uid):
            yield _left(index, study._replace(expected=len(images), missing=images))
        else:
            yield study


def _left(index: Index, study: StudyPlan) -> StudyPlan:
    """Take away what the store has by now."""
    held = {row.sop_uid for row in index.objects(study.uid)}
    if study.missing is None:
        return study._replace(missing=[] if held and len(held) >= (study.expected or 1) else None)
    return study._replace(missing=[image for image in study.missing if image.sop_uid not in held])


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
    settings = required(site.retrieve, "retrieve")
    pace = pace or Pace(settings, say=say)
    find, peer = retrieval(site, pace.wait), site.peers[settings.peer]
    ask = fetcher(settings.method, peer, site.receiver.ae_title, store, pace)
    job = _Job(store, settings.peer, ask, pace, say)
    try:
        todo = [study for study in plan(find, store.index, wanted) if not job.note(study).complete]
        for round_ in range(settings.tries):
            if round_ and todo:
                pace.wait(2 ** (round_ - 1))
            with progress_bar("studies asked for") as told:
                left = []
                for number, study in enumerate(todo, start=1):
                    left.append(job.fetch(study))
                    told(number, len(todo))
            todo = [study for study in left if not study.complete]
    except DeadlineError as late:
        say(str(late))
    complete = sum(job.states.values())
    return complete, len(job.states) - complete


@dataclass
class _Job:
    store: ObjectStore
    peer: str
    ask: Fetch
    pace: Pace
    say: Callable[[str], None]
    states: dict[str, bool] = field(default_factory=dict)
    in_a_row: int = 0

    def note(self, study: StudyPlan) -> StudyPlan:
        """Label the study in the index."""
        self.states[study.uid] = study.complete
        sql = """INSERT INTO retrievals (peer, study_uid, state, expected) VALUES (?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET state = excluded.state, expected = excluded.expected"""
        state = "complete" if study.complete else "partial"
        self.store.index.execute(sql, (self.peer, study.uid, state, study.expected))
        return study

    def fetch(self, study: StudyPlan) -> StudyPlan:
        """Fetch what is missing of a study once; give what still is."""
        if free_bytes(self.store.settings) <= 0:  # of a move the peer alone is told so
            stop_if_full(NO_SPACE)
        self.pace.turn(len(study.missing or ()) or study.expected or 1)
        settle_s = 0
        try:
            patiently(lambda: self._try(study), tries=math.inf, wait=self.pace.wait, on=UnreachableError)
            self.in_a_row, settle_s = 0, _SETTLE_S
        except DeadlineError:
            raise
        except NetworkError as error:
            self.say(f"{hashed(study.uid)}: {error}")
            self.in_a_row += not isinstance(error, PassingNetworkError)
            if self.in_a_row >= _IN_A_ROW:
                raise
        end = time.monotonic() + settle_s
        while not (after := _left(self.store.index, study)).complete and time.monotonic() < end:
            self.pace.wait(0.05)
        return self.note(after)

    def _try(self, study: StudyPlan) -> None:
        try:
            self.ask(study.uid, study.missing)
        except UnreachableError as error:
            self.say(str(error))
            raise
