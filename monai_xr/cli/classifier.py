"""Commands on a trained classifier: ask it about films, and test it on films whose labels are known."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from monai_xr.cli.app import app
from monai_xr.progress import loading

_Run = Annotated[Path, typer.Argument(help="Output folder of a training of a classifier.")]
_Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
_Phantoms = Annotated[bool, typer.Option("--accept-phantoms", help="Let phantoms in.")]


@app.command()
def judge(
    run: _Run,
    films: Annotated[Path, typer.Argument(help="A film, or a folder of them of any kind; labels are not needed.")],
    output: Annotated[Path | None, typer.Option(help="Where the answers go; default: RUN/findings.")] = None,
    split: Annotated[str | None, typer.Option(help="Only films of this split; default: all.")] = None,
    maps: Annotated[bool, typer.Option(help="Also write each film with what the network looked at.")] = True,
    device: _Device = "auto",
    batch_size: Annotated[int, typer.Option(help="Films at once.")] = 64,
    accept_phantoms: _Phantoms = False,
) -> None:
    """Ask a trained classifier about films: findings.csv, findings.json, findings.html and a picture a film."""
    from monai_xr.data.files.data_folder import check_there
    from monai_xr.data.files.output import free_folder
    from monai_xr.data.sources.finding import check_folder
    from monai_xr.workflows.judging_classifiers.classifier_run import find_classifier

    find_classifier(run)
    check_there(films)
    if films.is_dir():
        check_folder(films, split=split)
    folder = output or free_folder(run / "findings")
    loading("torch", "monai", "monai_xr.workflows.judging_classifiers.asking")
    from monai_xr.workflows.judging_classifiers.asking import judge_films

    knobs = _knobs(split, device, batch_size, accept_phantoms) | {"maps": maps}
    told = [*judge_films(run, films, folder, knobs), f"films: {folder / 'findings.html'}"]
    typer.echo(
        "\n".join([*told, f"next: monai-xr test {shlex.quote(str(run))} FOLDER    # films whose labels are known"])
    )


@app.command("test")
def try_out(
    run: _Run,
    films: Annotated[Path, typer.Argument(help="Folder of labelled films that the classifier was not trained on.")],
    output: Annotated[Path | None, typer.Option(help="Where the report goes; default: RUN/evaluation.")] = None,
    split: Annotated[str, typer.Option(help="Films of this split; none takes all, as of another hospital.")] = "test",
    group_by: Annotated[str, typer.Option(help="Also measure groups: view, or a column of manifest.csv.")] = "view",
    device: _Device = "auto",
    batch_size: Annotated[int, typer.Option(help="Films at once.")] = 64,
    accept_phantoms: _Phantoms = False,
    no_patients: Annotated[bool, typer.Option("--no-patients", help="Let splits be made image by image.")] = False,
) -> None:
    """Test a trained classifier: measures with intervals, films it gets right and wrong, one HTML report."""
    from monai_xr.data.files.output import free_folder
    from monai_xr.data.sources.finding import check_folder
    from monai_xr.workflows.judging_classifiers.classifier_run import find_classifier

    find_classifier(run)
    check_folder(films, split=split, no_patients=no_patients)
    folder = output or free_folder(run / "evaluation")
    loading("torch", "monai", "monai_xr.workflows.judging_classifiers.asking")
    from monai_xr.workflows.judging_classifiers.asking import judge_run

    knobs = _knobs(split, device, batch_size, accept_phantoms) | {"group_by": group_by, "no_patients": no_patients}
    told = [*judge_run(run, films, folder, knobs), f"report: {folder / 'report.html'}"]
    typer.echo(
        "\n".join([*told, f"next: monai-xr judge {shlex.quote(str(run))} FILMS    # answers on films without labels"])
    )


def _knobs(split: str | None, device: str, batch_size: int, accept_phantoms: bool) -> dict[str, Any]:
    chosen = None if split is None or split.lower() == "none" else split
    return {"split": chosen, "device": device, "batch_size": batch_size, "accept_phantoms": accept_phantoms}
