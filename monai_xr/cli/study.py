"""Commands on studies: plan, run, watch, report, and carry them to another machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_xr.cli.app import App, app
from monai_xr.errors import ConfigurationError
from monai_xr.progress import loading

if TYPE_CHECKING:
    from monai_xr.workflows.studies.study_file import Design, Place

study_app = App(no_args_is_help=True, help="Do generated films help a classifier? Arms, controls, one report.")
app.add_typer(study_app, name="study")

_File = Annotated[Path, typer.Argument(help="Study file, such as configs/experiments/augmentation.yaml, or a plan.")]
_Size = Annotated[str, typer.Option(help="Of the sizes in the file: smoke runs on phantoms.")]
_Output = Annotated[Path | None, typer.Option(help="Folder of the study; default: runs/studies/NAME-SIZE.")]
_Films = Annotated[str, typer.Option(help="Data folder instead of that in the file, or of phantoms.")]
_TestSet = Annotated[str, typer.Option(help="Folder of films of another source, to be judged beside the test split.")]
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
    budget: Annotated[str, typer.Option(help="Time that the study may take: 90s, 100m, 5h.")] = "",
    workers: _Workers = 2,
) -> None:
    """Measure data and machine, and write fingerprint.json and plan.yaml, which can be edited and run."""
    design, place = _read(file, size, output, dataset_dir, test_set)
    seconds = _seconds(budget) if budget else None
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
    workers: _Workers = 2,
    scheduler: Annotated[str, typer.Option(help="Address of a Dask scheduler to use instead.")] = "",
    validation_only: _Validation = False,
    publish: _Publish = False,
) -> None:
    """Run what is not done yet, then write the report; killed at any moment, the steps in flight alone are lost."""
    design, place = _read(file, size, output, dataset_dir, test_set)
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
    validation_only: _Validation = False,
    publish: _Publish = False,
) -> None:
    """Write the report anew, of what is done."""
    design, place = _read(file, size, output, dataset_dir, test_set)
    loading("torch", "monai")
    from monai_xr.workflows.studies.study import report_study

    verdict = report_study(design, place, with_test=not validation_only, publish=publish)
    typer.echo(f"{verdict.sentence}\nreport: {place.folder / 'report.html'}")


@study_app.command()
def status(
    file: _File, size: _Size = "", output: _Output = None, dataset_dir: _Films = "", test_set: _TestSet = ""
) -> None:
    """Tell how far a study is, and what failed."""
    from monai_xr.cli.help_tables import print_table

    design, place = _read(file, size, output, dataset_dir, test_set)
    loading("torch", "monai")
    from monai_xr.workflows.studies.graph import graph_of
    from monai_xr.workflows.studies.study import failures_in, progress_of

    rows = [(kind, f"{done} of {total}") for kind, done, total in progress_of(graph_of(design), place.folder)]
    print_table(f"{design.name}, size {design.size_name}", ("steps", "done"), rows)
    for line in failures_in(place.folder):
        typer.echo(f"failed: {line}")


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


def _read(file: Path, size: str, output: Path | None, dataset_dir: str, test_set: str) -> tuple["Design", "Place"]:
    """Read the design, and where it is run."""
    from monai_xr.workflows.studies.study_file import Place, read_design

    design = read_design(file, size, dataset_dir=dataset_dir, test_set=test_set)
    return design, Place(file, output or Path("runs/studies") / f"{design.name}-{design.size_name}")
