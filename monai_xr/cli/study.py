"""Commands on studies: plan, run, watch, report, and carry them to another machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monai_xr.cli.app import App, app
from monai_xr.errors import ConfigurationError
from monai_xr.progress import loading

if TYPE_CHECKING:
    from monai_xr.workflows.studies.design import Design, Place

study_app = App(no_args_is_help=True, help="Do generated films help a classifier? Arms, controls, one report.")
app.add_typer(study_app, name="study")

_File = Annotated[Path, typer.Argument(help="Study file, such as configs/experiments/augmentation.yaml, or a plan.")]
_Size = Annotated[str, typer.Option(help="Of the sizes in the file: smoke runs on phantoms.")]
_Output = Annotated[Path | None, typer.Option(help="Folder of the study; default: runs/studies/NAME-SIZE.")]
_Films = Annotated[str, typer.Option(help="Data folder instead of that in the file, or of phantoms.")]
_TestSet = Annotated[str, typer.Option(help="Folder of films of another source, to be judged beside the test split.")]
_Classes = Annotated[str, typer.Option(help="In place of those in the file: the rare one, the other one.")]
_Minority = Annotated[str, typer.Option(help="The rare class, which is counted, added and generated.")]
_NoPatients = Annotated[bool, typer.Option("--no-patients", help="Let films of unknown patients be split one by one.")]
_Validation = Annotated[bool, typer.Option("--validation-only", help="Leave the test films closed, to tune.")]
_Workers = Annotated[int, typer.Option(min=1, help="Processes of this machine, one thread each.")]
_Publish = Annotated[bool, typer.Option("--publish", help="A report without pictures of films, fit to leave the site.")]


@study_app.command()
def plan(
    file: _File,
    size: _Size = "",
    output: _Output = None,
    dataset_dir: _Films = "",
    test_set: _TestSet = "",
    classes: _Classes = "",
    minority: _Minority = "",
    no_patients: _NoPatients = False,
    budget: Annotated[str, typer.Option(help="Time that the study may take: 90s, 100m, 5h.")] = "",
    workers: _Workers = 2,
) -> None:
    """Measure data and machine, and write fingerprint.json and plan.yaml, which can be edited and run."""
    films: dict[str, Any] = {"dataset_dir": dataset_dir, "test_set": test_set, "no_patients": no_patients}
    design, place = _read(file, size, output, classes=classes, minority=minority, **films)
    seconds = _seconds(budget) if budget else None
    _check_films(design)
    loading("torch", "monai")
    from monai_xr.workflows.studies.planning import PLAN_FILE, make_plan

    typer.echo("\n".join(make_plan(design, place.folder, seconds, workers)))
    typer.echo(f"next: monai-xr study run {place.folder / PLAN_FILE} --output {place.folder}")


def _seconds(text: str) -> float:
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    if unit is None or not text[:-1].replace(".", "", 1).isdecimal():
        raise ConfigurationError(f"{text!r} is no time", "--budget", "a number and s, m or h, such as 100m")
    return float(text[:-1]) * unit


@study_app.command()
def run(
    file: _File,
    size: _Size = "",
    output: _Output = None,
    dataset_dir: _Films = "",
    test_set: _TestSet = "",
    classes: _Classes = "",
    minority: _Minority = "",
    no_patients: _NoPatients = False,
    workers: _Workers = 2,
    scheduler: Annotated[str, typer.Option(help="Address of a Dask scheduler to use instead.")] = "",
    validation_only: _Validation = False,
    publish: _Publish = False,
) -> None:
    """Run what is not done yet, then write the report; killed at any moment, the steps in flight alone are lost."""
    films: dict[str, Any] = {"dataset_dir": dataset_dir, "test_set": test_set, "no_patients": no_patients}
    design, place = _read(file, size, output, classes=classes, minority=minority, **films)
    _check_films(design)
    loading("torch", "monai")
    from monai_xr.workflows.studies.study import report_study, run_study

    run_study(design, place, workers=workers, scheduler=scheduler, with_test=not validation_only)
    verdict = report_study(design, place, with_test=not validation_only, publish=publish)
    typer.echo(f"{verdict.sentence}\nreport: {place.folder / 'report.html'}")


@study_app.command()
def report(
    file: _File,
    size: _Size = "",
    output: _Output = None,
    dataset_dir: _Films = "",
    test_set: _TestSet = "",
    classes: _Classes = "",
    minority: _Minority = "",
    no_patients: _NoPatients = False,
    validation_only: _Validation = False,
    publish: _Publish = False,
) -> None:
    """Write the report anew, of what is done."""
    films: dict[str, Any] = {"dataset_dir": dataset_dir, "test_set": test_set, "no_patients": no_patients}
    design, place = _read(file, size, output, classes=classes, minority=minority, **films)
    loading("torch", "monai")
    from monai_xr.workflows.studies.study import report_study

    verdict = report_study(design, place, with_test=not validation_only, publish=publish)
    typer.echo(f"{verdict.sentence}\nreport: {place.folder / 'report.html'}")


@study_app.command()
def status(
    file: _File,
    size: _Size = "",
    output: _Output = None,
    dataset_dir: _Films = "",
    test_set: _TestSet = "",
    classes: _Classes = "",
    minority: _Minority = "",
    no_patients: _NoPatients = False,
) -> None:
    """Tell how far a study is, what failed, and what other code made than would make it now."""
    from monai_xr.cli.help_tables import print_table

    films: dict[str, Any] = {"dataset_dir": dataset_dir, "test_set": test_set, "no_patients": no_patients}
    design, place = _read(file, size, output, classes=classes, minority=minority, **films)
    loading("torch", "monai")
    from monai_xr.workflows.studies.graph import graph_of
    from monai_xr.workflows.studies.study import failures_in, mixed_steps, progress_of

    graph = graph_of(design)
    rows = [(kind, f"{done} of {total}") for kind, done, total in progress_of(graph, place.folder)]
    print_table(f"{design.name}, size {design.size_name}", ("steps", "done"), rows)
    for line in failures_in(place.folder):
        typer.echo(f"failed: {line}")
    for line in mixed_steps(design, graph, place.folder):
        typer.echo(f"mixed: {line}")


@study_app.command()
def pack(
    folder: Annotated[Path, typer.Argument(help="Folder of a study.")],
    file: Annotated[Path, typer.Argument(help="To write; it holds the films of the study.")],
) -> None:
    """Write the finished steps of a study into one file, for another machine."""
    from monai_xr.workflows.studies.packing import pack_study

    typer.echo(f"{pack_study(folder, file)} steps in {file}")


@study_app.command()
def unpack(
    file: Annotated[Path, typer.Argument(help="What `study pack` wrote.")],
    folder: Annotated[Path, typer.Argument(help="Folder of the study on this machine.")],
) -> None:
    """Take over finished steps, so that they are not run again."""
    from monai_xr.workflows.studies.packing import unpack_study

    typer.echo(f"{unpack_study(file, folder)} steps taken over into {folder}")


def _read(file: Path, size: str, output: Path | None, **given: Any) -> tuple["Design", "Place"]:
    """Read the design, and where it is run."""
    from monai_xr.workflows.studies.design import Place, read_design

    design = read_design(file, size, **given)
    return design, Place(file, output or Path("runs/studies") / f"{design.name}-{design.size_name}")


def _check_films(design: "Design") -> None:
    """Refuse, before anything heavy is loaded, films that are not there, lack a class or name no patients."""
    from monai_xr.data.sources.finding import check_folder

    own = "" if design.size.phantoms else design.study.dataset_dir
    for folder in filter(None, (own, design.test_set)):
        try:
            check_folder(
                Path(folder).expanduser(),
                classes=[design.study.positive, design.study.negative],
                split="train" if folder == own and not design.study.resplit else None,
                no_patients=design.study.no_patients,
            )
        except ConfigurationError as error:
            where = {"classes": "--classes", "dataset_dir": "--dataset-dir"}.get(error.where, error.where)
            raise ConfigurationError(error.what, where, error.way_out.replace("dataset_dir", "--dataset-dir")) from None
