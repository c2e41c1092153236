"""The index of a store: one SQLite file that tells which objects are there and what is to be done with their studies.

Every change is on the disk when it returns. A study has versions: an image that comes after its study was taken up
makes a new version that names its predecessor.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from monai_xr.errors import HostError

Values = Sequence[Any] | dict[str, Any]
State = Literal["received", "waiting", "working", "placed", "built", "done", "ignored", "quarantined"]
_BEFORE: dict[State, tuple[State, ...]] = {
    "received": (),
    "waiting": ("received", "working", "quarantined", "ignored"),
    "working": ("waiting",),
    "placed": ("working",),  # its films are de-identified; the data set does not have them yet
    "built": ("placed", "built"),  # the data set has them; they are not handed over yet
    "done": ("working", "placed", "built"),
    "ignored": ("working", "waiting"),
    "quarantined": ("working", "waiting", "received", "placed", "built"),
}
_LONGEST_PAUSE_S = 3600.0
# A pause that is longer than any was set by a clock that was wrong then.
DUE = f"NOT (not_before > :now AND not_before <= :now + {_LONGEST_PAUSE_S})"
_TIMEOUT_S = 60
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE objects (
    sop_uid TEXT PRIMARY KEY, study_uid TEXT NOT NULL, version INTEGER NOT NULL, series_uid TEXT NOT NULL,
    sop_class TEXT NOT NULL, transfer_syntax TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL, sender TEXT NOT NULL, received REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX objects_of_study ON objects (study_uid, version);
CREATE TABLE studies (
    study_uid TEXT NOT NULL, version INTEGER NOT NULL, predecessor INTEGER, state TEXT NOT NULL, expected INTEGER,
    last_received REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0,
    reason TEXT, PRIMARY KEY (study_uid, version)) WITHOUT ROWID;
CREATE INDEX studies_by_state ON studies (state);
CREATE TABLE commitments (
    transaction_uid TEXT PRIMARY KEY, peer TEXT NOT NULL, objects TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE outgoing (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL, peer TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting',
    tries INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0, reason TEXT, UNIQUE (path, peer));
CREATE TABLE retrievals (
    peer TEXT NOT NULL, study_uid TEXT NOT NULL, state TEXT NOT NULL, expected INTEGER,
    PRIMARY KEY (study_uid, peer)) WITHOUT ROWID;
"""

# One statement for all rows of a batch, as each gives up the interpreter once. The newest version of a study takes an
# object if it is still open; else a new one is made, which names it as its predecessor.
_ADD_TO_STUDIES = """
INSERT INTO studies (study_uid, version, predecessor, state, last_received)
    SELECT study_uid, coalesce(newest.version + 1 - (state IN ('received', 'waiting')), 1), newest.version, 'received',
        added.received
    FROM (SELECT value ->> 1 AS study_uid, max(value ->> 10) AS received FROM json_each(?) GROUP BY 1) AS added
        LEFT JOIN studies AS newest USING (study_uid)
    WHERE newest.version IS NULL
        OR newest.version = (SELECT max(version) FROM studies AS s WHERE s.study_uid = added.study_uid)
ON CONFLICT DO UPDATE SET state = 'received', last_received = max(last_received, excluded.last_received)"""
_ADD_OBJECTS = """
INSERT INTO objects SELECT value ->> 0, value ->> 1, (SELECT max(version) FROM studies WHERE study_uid = value ->> 1),
    value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10
    FROM json_each(?)"""


class StudyRow(NamedTuple):
    """One version of a study; `objects` counts those of all versions up to it."""

    study_uid: str
    version: int
    state: State
    predecessor: int | None
    objects: int
    last_received: float
    expected: int | None
    tries: int
    reason: str | None


class ObjectRow(NamedTuple):
    """One object on the disk; `sha256` and `bytes` are of its data set, without the file meta."""

    sop_uid: str
    study_uid: str
    version: int
    series_uid: str
    sop_class: str
    transfer_syntax: str
    path: str
    sha256: str
    bytes: int
    sender: str
    received: float


class Index:
    """The SQLite file of a store, made if absent; its processes and threads may all use it at once.

    Raises:
        HostError: It is damaged, of a newer program, or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        try:
            path.touch(0o600)  # that of the files that SQLite makes beside it, too
            self._connection = sqlite3.connect(
                path, timeout=_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            with self.change() as connection:
                self._prepare(connection)
        except (sqlite3.Error, OSError) as error:
            raise HostError(
                f"the index cannot be used ({error})", path, "`monai-xr intake serve --rebuild` makes it anew"
            ) from None

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _SCHEMA_VERSION:
            raise HostError(f"index of version {version}, at most {_SCHEMA_VERSION} is read", self.path, "update")
        if not version:
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError("damaged")

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Change the index in one step that is on the disk when it ends, or not at all.

        No other process changes it meanwhile.
        """
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def execute(self, sql: str, values: Values = ()) -> int:
        """Change the index by one statement; give how many rows that changed."""
        with self.change() as connection:
            return connection.execute(sql, values).rowcount

    def rows(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """Read rows."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def known(self, sop_uids: Sequence[str]) -> dict[str, ObjectRow]:
        """Find objects by their SOP Instance UID."""
        sql = "SELECT * FROM objects WHERE sop_uid IN (SELECT value FROM json_each(?))"
        return {row[0]: ObjectRow(*row) for row in self.rows(sql, (json.dumps(sop_uids),))}

    def objects(self, study_uid: str, version: int | None = None) -> list[ObjectRow]:
        """Give the objects of a study, up to a version of it or all, in the order they came."""
        last = 2**62 if version is None else version
        sql = "SELECT * FROM objects WHERE study_uid = ? AND version <= ? ORDER BY received, sop_uid"
        return [ObjectRow(*row) for row in self.rows(sql, (study_uid, last))]

    def studies(
        self, state: State | None = None, *, study_uid: str | None = None, due: float | None = None
    ) -> list[StudyRow]:
        """Give the versions of studies in a state, or of one study, or due at a time; the longest waiting first."""
        wanted = {"state = :state": state, "study_uid = :uid": study_uid, DUE: due}
        sql = f"""SELECT study_uid, version, state, predecessor,
            (SELECT count(*) FROM objects o WHERE o.study_uid = s.study_uid AND o.version <= s.version),
            last_received, coalesce(expected, (SELECT max(r.expected) FROM retrievals r
                WHERE r.study_uid = s.study_uid AND r.state != 'given up')), tries, reason
            FROM studies s WHERE {" AND ".join(text for text, value in wanted.items() if value is not None) or "true"}
            ORDER BY last_received, study_uid, version"""  # noqa: S608
        return [StudyRow(*row) for row in self.rows(sql, {"state": state, "uid": study_uid, "now": due})]

    def move(
        self,
        study_uid: str,
        version: int,
        state: State,
        reason: str | None = None,
        *,
        not_before: float = 0,
        tries: int | None = None,
    ) -> bool:
        """Move a version of a study to a state; False where another process did first, or it is not there.

        Moving to working counts a try; `tries` sets the count. The reason names no patient.
        """
        before = _BEFORE[state]
        sql = f"""UPDATE studies SET state = ?, reason = ?, not_before = ?, tries = coalesce(?, tries + ?)
            WHERE study_uid = ? AND version = ? AND state IN ({",".join("?" * len(before))})"""  # noqa: S608
        values = (state, reason, not_before, tries, int(state == "working"), study_uid, version, *before)
        return self.execute(sql, values) == 1

    def counts(self) -> dict[str, int]:
        """Count the studies by state, and the objects."""
        found = dict.fromkeys((f"studies_{state}" for state in get_args(State)), 0)
        found |= {f"studies_{state}": n for state, n in self.rows("SELECT state, count(*) FROM studies GROUP BY 1")}
        return found | {"objects": self.rows("SELECT count(*) FROM objects")[0][0]}


def add_objects(connection: sqlite3.Connection, rows: Sequence[ObjectRow]) -> None:
    """Insert new objects within a change, each in the open version of its study or a new one."""
    values = json.dumps(rows)
    connection.execute(_ADD_TO_STUDIES, (values,))
    connection.execute(_ADD_OBJECTS, (values,))


def pause_s(first_s: float, tries: int) -> float:
    """Give the pause after so many tries: twice as long after each, an hour at most."""
    return min(first_s * 2.0 ** min(max(0, tries - 1), 20), _LONGEST_PAUSE_S)
