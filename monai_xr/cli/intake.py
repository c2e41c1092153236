"""Commands of the intake: receive studies from a PACS and tell how it goes."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from monai_xr.cli.app import App, app

intake = App(no_args_is_help=True, help="Studies from a PACS: receive, fetch, queue, send; see site.yaml.")
app.add_typer(intake, name="intake")

SiteFile = Annotated[Path, typer.Option("--config", help="The site's file.")]
SITE_FILE = Path("site.yaml")
_TOLD = {
    "receiving": "1 while `serve` runs",
    "studies_received": "films may still come",
    "studies_waiting": "for a worker",
    "studies_placed": "de-identified; the next build (build_every_s) takes them up",
    "studies_built": "in the data set; the hand-over comes",
    "studies_ignored": "`retry --ignored` lists them",
    "studies_quarantined": "`retry` lists them with the reasons",
    "quarantined_objects": "files that were refused, with the reasons in STORE/quarantine",
    "free_bytes": "above min_free_gb",
    "accepting": "0 where senders are told that the disk is full",
}


@intake.command()
def serve(
    config: SiteFile = SITE_FILE,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Put a damaged index aside and make it anew.")] = False,
    receive_only: Annotated[bool, typer.Option("--receive-only", help="Leave the work on studies to others.")] = False,
) -> None:
    """Receive objects from peers until stopped, each answered when it is on the disk, and work on their studies."""
    from monai_xr.cli.beside import working_beside
    from monai_xr.pacs.receiver import Receiver
    from monai_xr.pacs.site import read_site

    site = read_site(config)
    receiver = Receiver(site, rebuild=rebuild, tell=typer.echo)
    try:
        typer.echo(receiver.greeting())
        with nullcontext() if receive_only or site.deidentification is None else working_beside(config):
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
    lines = (f"{name:20} {number:>14}  {_TOLD.get(name, '')}".rstrip() for name, number in facts.items())
    typer.echo(json.dumps(facts) if as_json else "\n".join(lines))
