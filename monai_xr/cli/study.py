"""Commands on studies: plan, run, watch, report, and carry them to another machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_xr.cli.app import App, app

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
_Publish = Annotated[bool, typer.Option("--publish", help="A report without pictures of films, fit to leave the site.")]


@study_app.command()
def run(
    file: _File,
    size: _Size = "",
    output: _Output = None,
    dataset_dir: _Films = "",
    test_set: _TestSet = "",
    workers: Annotated[int, typer.Option(help="Processes of this machine, one thread each.")] = 2,
    scheduler: Annotated[str, typer.Option(help="Address of a Dask scheduler to use instead.")] = "",
    validation_only: _Validation = False,
    publish: _Publish = False,
) -> None:
    """Run what is not done yet, then write the report; killed at any moment, the steps in flight alone are lost."""
    from monai_xr.progress import loading

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
    publish: Annotated[
        bool, typer.Option("--publish", help="Without any picture of films, fit to leave the site.")
    ] = False,
) -> None:
    """Write the report anew, of what is done."""
    from monai_xr.progress import loading

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
    from monai_xr.progress import loading

    design, place = _read(file, size, output, dataset_dir, test_set)
    loading("torch", "monai")
    from monai_xr.workflows.studies.graph import graph_of
    from monai_xr.workflows.studies.study import failures_in, progress_of

    rows = [(kind, f"{done} of {total}") for kind, done, total in progress_of(graph_of(design), place.folder)]
    print_table(f"{design.name}, size {design.size_name}", ("steps", "done"), rows)
    for line in failures_in(place.folder):
        typer.echo(f"failed: {line}")


def _read(file: Path, size: str, output: Path | None, dataset_dir: str, test_set: str) -> tuple["Design", "Place"]:
    """Read the design, and where it is run."""
    from monai_xr.workflows.studies.study_file import Place, read_design

    design = read_design(file, size, dataset_dir=dataset_dir, test_set=test_set)
    return design, Place(file, output or Path("runs/studies") / f"{design.name}-{design.size_name}")
