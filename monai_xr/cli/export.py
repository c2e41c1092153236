"""Commands that turn a training into an app for a clinic's router."""

from pathlib import Path
from typing import Annotated

import typer

from monai_xr.cli.app import app
from monai_xr.progress import loading


@app.command()
def export(
    source: Annotated[Path, typer.Argument(help="Output folder of a training, or a packed bundle of a classifier.")],
    out: Annotated[Path, typer.Option(help="Folder to make: app, models, manifests, Dockerfiles, provenance.")],
    steps: Annotated[int, typer.Option(help="Of the search for latents, where a DCGAN becomes AnoGAN.")] = 500,
) -> None:
    """Export a training as a MONAI Deploy app: a classifier that tells findings, or a DCGAN as AnoGAN."""
    loading("torch", "monai")
    from monai_xr.deploy.exporting import export_app
    from monai_xr.inferers.latent_search import SearchSettings

    differences = export_app(source, out, SearchSettings(steps=steps))["differences_from_the_network"]
    for form, found in differences.items():
        told = ", ".join(f"{name} {value:.1g}" for name, value in found.items())
        typer.echo(f"{form}: largest differences from the network: {told}")
    typer.echo(f"run it: python {out / 'app'} -i IN -o OUT -m {out / 'models'}")
