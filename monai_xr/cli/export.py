"""Commands that turn a training into an app for a clinic's router."""

from pathlib import Path
from typing import Annotated

import typer

from monai_xr.cli.app import app


@app.command()
def export(
    source: Annotated[Path, typer.Argument(help="Output folder of a training of a classifier, or a packed bundle.")],
    out: Annotated[Path, typer.Option(help="Folder to make: app, models, manifests, Dockerfiles, provenance.")],
) -> None:
    """Export a trained classifier as a MONAI Deploy app: DICOM study in, findings as DICOM out."""
    from monai_xr.progress import loading

    loading("torch", "monai")
    from monai_xr.deploy.exporting import export_app

    differences = export_app(source, out)["differences_from_the_network"]
    for form, found in differences.items():
        told = ", ".join(f"{name} {value:.1g}" for name, value in found.items())
        typer.echo(f"{form}: largest difference from the network: {told}")
    typer.echo(f"run it: python {out / 'app'} -i IN -o OUT -m {out / 'models'}")
