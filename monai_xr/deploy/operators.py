"""The steps of `monai_xr.deploy.core` as Holoscan operators, and the application that MONAI Deploy runs.

One study goes through the graph at a time. The operators hold no rule of their own, so that both ways of running an app
give the same. A failure is kept and raised when the graph has ended: Holoscan would print a traceback.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from holoscan.conditions import CountCondition
from monai.deploy.core import AppContext, Application, Operator, OperatorSpec

from monai_xr.deploy.core.command import phantoms_accepted, records_file, tell
from monai_xr.deploy.core.film_record import noted
from monai_xr.deploy.core.model import DeployedModel, load_model
from monai_xr.deploy.core.results import Instance, StudyResult
from monai_xr.deploy.core.study_steps import (
    Study,
    finish,
    judge_films,
    read_films,
    reports_in,
    select_films,
    studies_in,
)

_STUDY = "study"


class StudyStep(Operator):
    """Puts each study through one function."""

    def __init__(self, fragment: "FilmApp", *conditions: Any, step: Callable[[Study], Any], name: str) -> None:
        self.step = step
        super().__init__(fragment, *conditions, name=name)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare what goes in and out."""
        spec.input(_STUDY)
        spec.output(f"{_STUDY}_out")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Take a study one step on."""
        with self.fragment.keeping_failures():
            op_output.emit(self.step(op_input.receive(_STUDY)), f"{_STUDY}_out")


class FilmSelectorOperator(StudyStep):
    """Chooses frontal chest radiographs instance by instance, study after study; the source of the graph."""

    def __init__(self, fragment: "FilmApp", studies: list[Study], *, accept_phantoms: bool) -> None:
        self.studies: Iterator[Study] = iter(studies)
        super().__init__(
            fragment,
            CountCondition(fragment, len(studies)),
            step=lambda study: select_films(study, accept_phantoms=accept_phantoms),
            name="film_selector",
        )

    def setup(self, spec: OperatorSpec) -> None:
        """Declare what goes out."""
        spec.output(f"{_STUDY}_out")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Give the next study."""
        with self.fragment.keeping_failures():
            op_output.emit(self.step(next(self.studies)), f"{_STUDY}_out")


class FilmReaderOperator(StudyStep):
    """Reads the films as training does, upright and bright where dense."""

    def __init__(self, fragment: "FilmApp") -> None:
        super().__init__(fragment, step=read_films, name="film_reader")


class ClassifierOperator(StudyStep):
    """Judges the films, of one class each or with several findings."""

    def __init__(self, fragment: "FilmApp", model: DeployedModel) -> None:
        super().__init__(fragment, step=lambda study: judge_films(study, model), name="classifier")


class ResultWriterOperator(StudyStep):
    """Writes report, captures and presentation states of a study: all or none, hence one operator for the three."""

    def __init__(self, fragment: "FilmApp", model: DeployedModel, out: Path, before: list[Instance]) -> None:
        def write(study: Study) -> None:
            fragment.results.append(finish(study, model, out, before))

        super().__init__(fragment, step=write, name="result_writer")

    def setup(self, spec: OperatorSpec) -> None:
        """Declare what goes in."""
        spec.input(_STUDY)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Write a study."""
        with self.fragment.keeping_failures():
            self.step(op_input.receive(_STUDY))


class FilmApp(Application):
    """Judges studies with a model and keeps the results.

    Args:
        studies: By `studies_in`.
        out: Where results go.
    """

    def __init__(self, studies: list[Study], model: DeployedModel, out: Path) -> None:
        self.studies, self.model, self.out = studies, model, out
        self.results: list[StudyResult] = []
        self.failures: list[Exception] = []
        super().__init__()

    @contextlib.contextmanager
    def keeping_failures(self) -> Iterator[None]:
        """Keep what is raised; the study ends there."""
        try:
            yield
        except Exception as error:
            self.failures.append(error)

    def compose(self) -> None:
        """Connect the operators."""
        selector = FilmSelectorOperator(self, self.studies, accept_phantoms=phantoms_accepted())
        reader, classifier = FilmReaderOperator(self), ClassifierOperator(self, self.model)
        writer = ResultWriterOperator(self, self.model, self.out, reports_in(self.out))
        for first, second in ((selector, reader), (reader, classifier), (classifier, writer)):
            self.add_flow(first, second, {(f"{_STUDY}_out", _STUDY)})


def run_graph(argv: list[str]) -> None:
    """Run the application and tell what it found; raises what the core raises.

    Args:
        argv: A command line of MONAI Deploy; what it does not say is taken from the environment of a MAP.
    """
    context: AppContext = Application.init_app_context(argv)
    source = Path(context.input_path)
    app = FilmApp(studies_in(source), load_model(Path(context.model_path)), Path(context.output_path))
    if app.studies:
        app.run()
    if app.failures:
        raise app.failures[0]
    tell(noted(app.results, records_file()), source)
