"""Commands of the intake: receive studies from a PACS and tell how it goes."""

from pathlib import Path
from typing import Annotated

import typer

from monai_xr.cli.app import app

intake = typer.Typer(no_args_is_help=True, help="Studies from a PACS: receive, fetch, queue, send; see site.yaml.")
app.add_typer(intake, name="intake")

SiteFile = Annotated[Path, typer.Option("--config", help="The site's file.")]
SITE_FILE = Path("site.yaml")
