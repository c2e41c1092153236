"""Commands of the intake: receive studies from a PACS and tell how it goes."""

from pathlib import Path
from typing import Annotated

import typer

from monai_xr.cli.app import app

intake = typer.Typer(no_args_is_help=True, help="Studies from a PACS: receive, fetch, queue, send; see site.yaml.")
app.add_typer(intake, name="intake")

SiteFile = Annotated[Path, typer.Option("--config", help="The site's file.")]
SITE_FILE = Path("site.yaml")


@intake.command()
def serve(
    config: SiteFile = SITE_FILE,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Put a damaged index aside and make it anew.")] = False,
) -> None:
    """Receive objects from peers until stopped; each is answered when it is on the disk."""
    from monai_xr.pacs.receiver import Receiver
    from monai_xr.pacs.site import read_site

    receiver = Receiver(read_site(config), rebuild=rebuild)
    try:
        typer.echo(receiver.greeting())
        receiver.serve()
    finally:
        receiver.close()


@intake.command()
def status(
    config: SiteFile = SITE_FILE,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Count what the store holds, by state."""
    import json

    from monai_xr.pacs.counters import site_facts
    from monai_xr.pacs.site import read_site

    facts = site_facts(read_site(config))
    typer.echo(json.dumps(facts) if as_json else "\n".join(f"{name:22} {number}" for name, number in facts.items()))
