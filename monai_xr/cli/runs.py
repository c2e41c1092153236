"""Commands on runs: list and compare them, make the page of one, show them in MLflow."""

from pathlib import Path
from typing import Annotated

import typer

from monai_xr.cli.app import app
from monai_xr.progress import loading, working


@app.command()
def runs(
    places: Annotated[
        list[Path] | None,
        typer.Argument(help="Runs, or folders that hold some; else those here and in runs."),
    ] = None,
) -> None:
    """List trainings: how each stands and what it reached; of several, the settings in which they differ."""
    from monai_xr.runs.summary import differing_settings, find_runs, summary_of

    found = [summary_of(run) for run in find_runs(places or _usual_places())]
    for each in found:
        typer.echo(f"{each.name}  {each.bundle}")
        typer.echo(f"    {each.state}, epoch {each.epochs}, films: {each.films}")
        typer.echo(f"    {each.reached or 'no epoch has ended'}")
        if each.is_resumable:
            typer.echo(f"    {each.next_commands[0]}")
    for bundle in dict.fromkeys(each.bundle for each in found):
        alike = [each for each in found if each.bundle == bundle]
        names = [Path(each.name).name for each in alike]
        differing = differing_settings(alike)
        if differing:
            typer.echo(f"settings that differ, {bundle}")
        for setting, row in differing.items():
            values = zip(names, row, strict=True)
            typer.echo(f"    {setting}: " + ", ".join(f"{name} {value or '-'}" for name, value in values))


def _usual_places() -> list[Path]:
    """Give the runs of the working folder, and `runs` unless that holds none beside them."""
    beside = sorted(each.parent for each in Path().glob("*/run.json"))
    runs = Path("runs")
    return [*beside, *([runs] if not beside or any(runs.rglob("run.json")) else [])]


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Output folder of a training, also while it goes.")],
    output: Annotated[Path | None, typer.Option(help="The page; training.html in the run by default.")] = None,
) -> None:
    """Make the page of one training: what it is, its curves, its newest pictures, its alarms, what comes next."""
    from monai_xr.runs import RunFolder
    from monai_xr.runs.summary import summary_of

    page = output or run / "training.html"
    summary_of(RunFolder(run))  # refuses what is no run before anything heavy is loaded
    with working("drawing"):
        from monai_xr.workflows.run_page import write_run_page

        summary = summary_of(RunFolder(run))
        write_run_page(RunFolder(run), summary, page)
    typer.echo(f"{summary.state}, epoch {summary.epochs}; page: {page}")
    typer.echo(f"next: {summary.next_commands[0]}")


@app.command()
def mlflow(
    run: Annotated[Path, typer.Argument(help="Output folder of a training.")],
    port: Annotated[int, typer.Option(help="Of the server, on this machine alone.")] = 5000,
) -> None:
    """Show a training in MLflow's own pages: starts its server on this machine and tells the address."""
    from monai_xr.runs import RunFolder
    from monai_xr.runs.tracking_store import noted_store

    store = noted_store(RunFolder(run))
    loading("mlflow")
    from monai_xr.handlers.tracking.mlflow_pages import serve_pages

    serve_pages(store, port)
