"""Runs an app on phantom studies of every kind and tells, row by row, what is wrong: `verify_app`.

One run is on all studies together, as a router gives them; more are on an empty folder, on a study that has a report
already, and on a phantom that is not to be let in.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from monai_xr.deploy.air_rules import check_report
from monai_xr.deploy.phantom_cases import CASES, write_case
from monai_xr.deploy.reading_reports import Report, read_reports
from monai_xr.deploy.running_apps import Ended, check_app, run_app_on
from monai_xr.dicom.header import read_header
from monai_xr.dicom.values import items, text
from monai_xr.disk import PART
from monai_xr.errors import InputDataError

_CLOSE = 0.01  # of two answers on one picture in two encodings
_NO_INPUT = 3  # exit code of the house


@dataclass(frozen=True)
class Verdict:
    """One row: what was given, what must come of it, and what is wrong, "" where nothing is."""

    given: str
    wanted: str
    wrong: str


def verify_app(app: Path, *, air: bool = False) -> list[Verdict]:
    """Run an app on phantom studies.

    Args:
        app: Folder that `monai-xr export` wrote.
        air: Whether its reports are also checked by the rules of IHE AI Results, a row a rule.

    Raises:
        ConfigurationError: No app.
        HostError: It cannot be started.
    """
    check_app(app)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        places = {name: write_case(folder / "in" / name, name) for name in CASES}
        (folder / "empty").mkdir()
        together = _Run(app, folder / "in", folder / "out")
        again = _Run(app, places["PA"], folder / "out")
        empty = _Run(app, folder / "empty", folder / "none")
        refused = _Run(app, places["PA"], folder / "refused", accept_phantoms=False)
        rows = [Verdict(name, CASES[name].wanted, together.wrong(name, places)) for name in CASES]
        rows += [
            Verdict("PA once more", "a successor that names its predecessor", _succession(together, again)),
            Verdict("an empty folder", "no result, one line, exit code 3", empty.wrong_if_not_refused()),
            Verdict("a phantom that is not let in", "not processed, with the reason", refused.wrong_if_judged()),
            Verdict("all of these", "whole files, no traceback", _untidy(together, again, empty, refused)),
        ]
        return rows + (_air_rows(together.reports + again.reports, places) if air else [])


class _Run:
    """One run of the app with what came of it."""

    def __init__(self, app: Path, films: Path, output: Path, *, accept_phantoms: bool = True) -> None:
        before = {text(each.ds, "SOPInstanceUID") for each in _read(output)[0]}
        self.ended: Ended = run_app_on(app, films, output, accept_phantoms=accept_phantoms)
        found, self.damage = _read(output)
        self.reports = [each for each in found if text(each.ds, "SOPInstanceUID") not in before]
        self.parts = [each for each in output.rglob("*") if each.name.endswith(PART)] if output.exists() else []

    def wrong(self, name: str, places: Mapping[str, Path]) -> str:
        """Say what is wrong with the report on one of the cases."""
        case, films = CASES[name], _films(places[name])
        own = [each for each in self.reports if each.study == text(films[0], "StudyInstanceUID")] if films else []
        if len(own) != 1:
            return f"{len(own)} reports, exit code {self.ended.code}"
        judged = {each.film for each in own[0].told}
        reasons = [each for each in own[0].comments if each.startswith("Not processed")]
        if len(judged) != case.judged:
            return f"{len(judged)} films judged"
        if len(films) > case.judged and not reasons:
            return "no reason for what was not processed"
        return self._differs(own[0], places) if case.like_pa else ""

    def _differs(self, report: Report, places: Mapping[str, Path]) -> str:
        study = text(_films(places["PA"])[0], "StudyInstanceUID")
        values = [
            {each.finding: each for each in one.told}
            for one in (report, *(each for each in self.reports if each.study == study))
        ]
        if len(values) < 2 or set(values[0]) != set(values[1]):
            return "other findings than of the PA film"
        scales = {name: 1.0 if each.answer else abs(each.value) for name, each in values[1].items()}  # scores: relative
        away = max(abs(values[0][name].value - each.value) / scales[name] for name, each in values[1].items())
        return "" if away <= _CLOSE else f"{away:.3f} from the answer on the same picture"

    def wrong_if_not_refused(self) -> str:
        """Say what is wrong with a run on nothing."""
        if self.reports or self.ended.code != _NO_INPUT:
            return f"{len(self.reports)} reports, exit code {self.ended.code}"
        return "" if len(self.ended.said.strip().splitlines()) == 1 else "more than one line"

    def wrong_if_judged(self) -> str:
        """Say what is wrong with a run on a film that is not to be judged."""
        if len(self.reports) != 1 or self.reports[0].told:
            return "judged" if any(each.told for each in self.reports) else f"{len(self.reports)} reports"
        return "" if any(each.startswith("Not processed") for each in self.reports[0].comments) else "no reason"


def _read(output: Path) -> tuple[list[Report], str]:
    try:
        return (read_reports(output) if output.exists() else []), ""
    except InputDataError as error:
        return [], error.what


def _films(folder: Path) -> list[Dataset]:
    found = []
    for path in sorted(folder.iterdir()):
        try:
            found.append(read_header(path))
        except InputDataError:
            continue
    return found


def _succession(first: _Run, second: _Run) -> str:
    if len(second.reports) != 1:
        return f"{len(second.reports)} reports, exit code {second.ended.code}"
    named = {
        text(one, "ReferencedSOPInstanceUID")
        for study in items(second.reports[0].ds, "PredecessorDocumentsSequence")
        for series in items(study, "ReferencedSeriesSequence")
        for one in items(series, "ReferencedSOPSequence")
    }
    before = {text(each.ds, "SOPInstanceUID") for each in first.reports if each.study == second.reports[0].study}
    return "" if named and named == before else "it does not name the report before it"


def _untidy(*runs: _Run) -> str:
    complaints: Iterator[tuple[Callable[[_Run], object], str]] = iter(
        [
            (lambda run: "Traceback" in run.ended.said, "a traceback"),
            (lambda run: run.parts, "a file that is half written"),
            (lambda run: run.damage, "a file that is no whole DICOM object"),
            (lambda run: run.ended.code not in (0, _NO_INPUT), "an exit code that is neither 0 nor 3"),
        ]
    )
    return "; ".join(words for is_wrong, words in complaints if any(is_wrong(run) for run in runs))


def _air_rows(reports: list[Report], places: Mapping[str, Path]) -> list[Verdict]:
    """Give a row a rule: in how many reports it is kept, and what breaks it first."""
    films = [ds for place in places.values() for ds in _films(place)]
    checked = [
        check_report(each.ds, [ds for ds in films if text(ds, "StudyInstanceUID") == each.study]) for each in reports
    ]
    rows = []
    for place, row in enumerate(checked[0] if checked else []):
        broken = [each[place].wrong for each in checked if each[place].wrong]
        rows.append(
            Verdict(f"AIR: {len(checked) - len(broken)} of {len(checked)} reports", row.rule, next(iter(broken), ""))
        )
    return rows or [Verdict("AIR", "at least one report", "no report")]
