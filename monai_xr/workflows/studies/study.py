"""Runs a study, or the rest of it, and writes its report: `run_study`, `report_study`."""

import json
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from monai_xr.data.files.json_lines import add_line, read_lines
from monai_xr.disk import host_trouble, make_folder
from monai_xr.errors import InputDataError
from monai_xr.workflows.studies.code_of_steps import code_of
from monai_xr.workflows.studies.design import Design, Place
from monai_xr.workflows.studies.films import Films, load_films
from monai_xr.workflows.studies.graph import Graph, graph_of, kinds_of
from monai_xr.workflows.studies.planning import check_splits
from monai_xr.workflows.studies.report import NOT_DONE, Ran, write_study_report
from monai_xr.workflows.studies.results import tables_of
from monai_xr.workflows.studies.running import OPENINGS, runner
from monai_xr.workflows.studies.steps import Done, Step, in_order, known, read_record
from monai_xr.workflows.studies.verdicts import Verdict


def run_study(design: Design, place: Place, *, workers: int, scheduler: str, with_test: bool = True) -> dict[str, Done]:
    """Run the steps that are not done yet; the test films are asked about when all classifiers are trained.

    Raises:
        ConfigurationError: Another process runs it, or Dask is missing.
        InputDataError: The films cannot be used.
    """
    graph = graph_of(design)
    steps, first = graph.steps(with_test=with_test), graph.steps(with_test=False)
    earlier = known(place.folder, steps)
    if len(earlier) == len(steps):
        return earlier
    with runner(place.folder, kinds_of(design), workers=workers, scheduler=scheduler) as held:
        films_of = [source for source in (graph.films, graph.second if with_test else None) if source]
        done = held.run(in_order(films_of), "films")
        for source in films_of:
            if error := done[source.key].error:
                raise InputDataError(error, "", "mend the data folder; what is done is kept")
        films = load_films(done[graph.films.key].folder, design.study.positive, design.study.negative)
        check_splits(films, (design.study.positive, design.study.negative))
        done |= held.run(first, "steps")
        if with_test:
            _note_opening(design, place.folder, films)
            done |= held.run(steps, "test")
    return done


def _note_opening(design: Design, folder: Path, films: Films) -> None:
    """Log that the test films are opened, once for a design."""
    path = make_folder(folder) / OPENINGS
    if design.digest not in [each["design"] for each in read_lines(path, cut=True)[0]]:
        made = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        with host_trouble(path):
            add_line(
                path, {"time": made, "design": design.digest, "films": films.sha256, "test": len(films.of("test"))}
            )


def _earlier_openings(design: Design, folder: Path, films: Films) -> list[str]:
    lines = [each for each in read_lines(folder / OPENINGS, cut=True)[0] if each["films"] == films.sha256]
    others = [each for each in lines if each["design"] != design.digest]
    if not others:
        return ["The test films were opened once, when all classifiers were trained."]
    return [f"The test films were opened {len(lines)} times, by other designs too: nothing may be chosen by them."]


def report_study(design: Design, place: Place, *, with_test: bool = True, publish: bool = False) -> Verdict:
    """Write the report of what is done.

    Raises:
        InputDataError: Nothing to report on.
    """
    graph = graph_of(design)
    steps = graph.steps(with_test=with_test)
    done = {**{step.key: _missing(step) for step in steps}, **known(place.folder, steps)}
    if done[graph.films.key].error:
        raise InputDataError("no films prepared", place.folder, "run the study first")
    films = load_films(done[graph.films.key].folder, design.study.positive, design.study.negative)
    tables = tables_of(design, graph, done, with_test=with_test)
    if not tables[0].rows:
        raise InputDataError("no arm was run to its end", place.folder, "run the study first")
    notes = (
        _earlier_openings(design, place.folder, films) if with_test else ["On validation alone: no test film was seen."]
    )
    mixed = mixed_steps(design, graph, place.folder)
    ran = Ran(design, graph, done, films, tables, notes, commands_of(design, place), mixed)
    return write_study_report(ran, place.folder, publish=publish)


def _missing(step: Step) -> Done:
    return Done(error=f"{step.label or step.kind}: {NOT_DONE}")


def mixed_steps(design: Design, graph: Graph, folder: Path) -> list[str]:
    """Tell which finished steps other code made than would make them now, a line for each kind and code."""
    kinds, found, total = kinds_of(design), dict[tuple[str, str], int](), dict[str, int]()
    done = known(folder, steps := graph.steps())
    for step in steps:
        if step.key in done:
            made = read_record(done[step.key].folder).get("made_by", {})
            total[step.kind] = total.get(step.kind, 0) + 1
            if made.get("code") != code_of(kinds[step.kind], step.settings)["code"]:
                by = f"version {made['version']} at {made['commit']}" if made else "code that is not recorded"
                found[step.kind, by] = found.get((step.kind, by), 0) + 1
    return [
        f"{kind}: {count} of {total[kind]} steps were made by other code, {by}" for (kind, by), count in found.items()
    ]


def progress_of(graph: Graph, folder: Path) -> list[tuple[str, int, int]]:
    """Give for each kind of step how many are done, and of how many."""
    steps, found = graph.steps(), dict[str, list[bool]]()
    done = known(folder, steps)
    for step in steps:
        found.setdefault(step.kind, []).append(step.key in done)
    return [(kind, sum(each), len(each)) for kind, each in found.items()]


def commands_of(design: Design, place: Place) -> Sequence[str]:
    """Give the commands that run a study again and go on with it; of folders the names alone."""
    given = {} if design.size.phantoms else {"--dataset-dir": design.study.dataset_dir, "--test-set": design.test_set}
    given = {option: Path(path).name for option, path in given.items() if path}
    options = "".join(f" {shlex.quote(text)}" for pair in given.items() for text in pair)
    options += "".join(f" {shlex.quote(text)}" for text in design.options)
    file = place.file.name if place.file.is_absolute() else str(place.file)
    study = f"{shlex.quote(file)} --size {design.size_name}{options} --output {shlex.quote(place.folder.name)}"
    return [f"monai-xr study {command} {study}" for command in ("plan", "run", "report")]


def failures_in(folder: Path) -> list[str]:
    """Give why steps failed that did not succeed since."""
    return [str(json.loads(file.read_bytes())["error"]) for file in sorted((folder / "failed").glob("*.json"))]
