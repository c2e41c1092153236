"""Decides which study is worked on next, and where each goes after that: `StudyQueue`.

received -> waiting (quiet, and complete as far as is known) -> working -> placed (de-identified) -> built (in the data
set) -> done; or ignored, or quarantined with a reason.
"""

import time
from collections.abc import Callable

from monai_xr.data.identifiers import hashed
from monai_xr.errors import NetworkError
from monai_xr.pacs.audit import Audit
from monai_xr.pacs.index import Index, State, StudyRow, pause_s
from monai_xr.pacs.site import Site

Ask = Callable[[Site, str], int | None]
Tell = Callable[[str], None]
_UNFINISHED: tuple[State, ...] = ("received", "waiting", "working", "placed", "built")
_ENDS: tuple[State, ...] = ("done", "ignored", "quarantined")
_SOONEST_S = 1.0


class StudyQueue:
    """The order of work of one store; see `Processing` for what it is given."""

    def __init__(self, site: Site, index: Index, ask: Ask | None, *, tell: Tell, say: Tell, audit: Audit) -> None:
        self._site, self._settings, self.index, self._ask = site, site.queue, index, ask
        self._tell, self._say, self._audit = tell, say, audit
        self._ask_again: dict[str, float] = {}

    def recover(self) -> None:
        """Let studies that a killed process worked on wait again; nobody may work now."""
        for row in self.index.studies("working"):
            self._move(row, "waiting", row.reason, tries=max(0, row.tries - 1))

    def line_up(self) -> None:
        """Let studies wait for their turn that are quiet and have as many objects as the archive says."""
        for row in self.index.studies("received"):
            quiet_s = abs(time.time() - row.last_received)  # clocks jump back
            if quiet_s < self._settings.quiet_s or self._ask_again.get(row.study_uid, 0) > time.monotonic():
                continue
            if quiet_s >= self._settings.most_wait_s or self._is_complete(row):
                self._ask_again.pop(row.study_uid, None)
                self._move(row, "waiting", row.reason)
            else:
                self._ask_again[row.study_uid] = time.monotonic() + max(self._settings.quiet_s, _SOONEST_S)

    def _is_complete(self, row: StudyRow) -> bool:
        expected = row.expected
        if self._ask and self._settings.ask:
            if self._ask_again.get("", 0) > time.monotonic():  # the archive did not answer a moment ago
                return False
            try:
                expected = self._ask(self._site, row.study_uid) or expected
            except NetworkError as error:
                self._tell(f"the count of a study is not known: {error.what}")
                self._ask_again[""] = time.monotonic() + self._settings.backoff_s
                return False
        missing = (expected or 0) - row.objects
        if expected != row.expected:
            sql = "UPDATE studies SET expected = ? WHERE study_uid = ? AND version = ?"
            self.index.execute(sql, (expected, row.study_uid, row.version))
            if missing > 0:
                self._tell(f"a study waits for {missing} of {expected} objects")
        return missing <= 0

    def due(self, state: State) -> list[StudyRow]:
        """Give what is to be done now with studies of a state."""
        return self.index.studies(state, due=time.time())

    def claim(self, row: StudyRow) -> bool:
        """Take up a study; False where an earlier version of it is still on its way."""
        versions = self.index.studies(study_uid=row.study_uid)
        earlier = any(each.version < row.version and each.state in _UNFINISHED[:3] for each in versions)
        return not earlier and self._move(row, "working", row.reason)

    def settle(self, row: StudyRow, state: State, reason: str | None) -> None:
        """Note what became of a study, for good or for the next step, which has its own tries."""
        self._move(row, state, reason, tries=0)

    def postpone(self, row: StudyRow, state: State, reason: str, *, counts: bool = True) -> None:
        """Have a step done again later, after a pause that grows with the tries; after the last it is quarantined.

        The study waits for the step in the state given. Trouble of the host does not count as a try.
        """
        tries = row.tries + counts
        if tries >= self._settings.tries:
            self._move(row, "quarantined", f"tried {tries} times: {reason}")
        else:
            later = time.time() + pause_s(self._settings.backoff_s, tries)
            self._move(row, state, reason, not_before=later, tries=tries)

    def is_empty(self) -> bool:
        """Tell whether nothing is on its way."""
        return not any(self.index.studies(state) for state in _UNFINISHED)

    def _move(
        self, row: StudyRow, state: State, reason: str | None, *, not_before: float = 0, tries: int | None = None
    ) -> bool:
        if state not in ("waiting", "working") or not_before:
            self._audit.note("study", state, study_uid=row.study_uid, version=row.version, reason=reason)
        if state in _ENDS:
            self._say(f"study {hashed(row.study_uid)} version {row.version}: {state}, {reason}")
        return self.index.move(row.study_uid, row.version, state, reason, not_before=not_before, tries=tries)
