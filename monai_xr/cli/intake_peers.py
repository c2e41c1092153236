"""Commands of the intake that speak to peers: fetch, send, check."""

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_xr.cli.intake import SITE_FILE, SiteFile, intake
from monai_xr.disk import make_folder
from monai_xr.errors import ConfigurationError, NetworkError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monai_xr.pacs.retrieving import StudyPlan

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y%m%d"], help="Of the study; counts too.")]


@intake.command()
def pull(
    config: SiteFile = SITE_FILE,
    studies: Annotated[Path | None, typer.Option("--list", help="CSV: column accession or study_uid.")] = None,
    since: Day = None,
    until: Day = None,
    modality: Annotated[str, typer.Option(help="For example DX.")] = "",
    description: Annotated[str, typer.Option(help="Of the study; a pattern as in '*CHEST*', in any case.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="All that the peer has.")] = False,
    unfinished: Annotated[bool, typer.Option("--unfinished", help="What earlier pulls left partial.")] = False,
    give_up: Annotated[bool, typer.Option("--give-up", help="Process what stays partial as it is.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would come; fetch nothing.")] = False,
) -> None:
    """Fetch the films that a peer has and the store lacks, at the hours and rate of the site; run again to go on."""
    from monai_xr.pacs import retrieving
    from monai_xr.pacs.audit import silence_libraries
    from monai_xr.pacs.querying import Wanted, read_wanted
    from monai_xr.pacs.site import read_site, required
    from monai_xr.pacs.storing import ObjectStore

    silence_libraries()
    site = read_site(config)
    name = required(site.retrieve, "retrieve").peer
    first, last = (day.date() if day else None for day in (since, until))
    wanted = Wanted(first_day=first, last_day=last, modality=modality.upper(), description=description)
    if studies:
        wanted = read_wanted(studies, wanted)
    _require_choice(wanted != Wanted(), everything, unfinished)
    with closing(ObjectStore(site.store)) as store:
        wanted = retrieving.unfinished(store.index, name) if unfinished else wanted
        if dry_run:
            _show(retrieving.plan(retrieving.retrieval(site), store.index, wanted))
            return
        complete, partial = retrieving.pull(site, store, wanted, say=lambda line: typer.echo(line, err=True))
        if give_up:
            retrieving.give_up(store.index, name)
    typer.echo(f"{complete} studies complete, {partial} partial")
    if partial and not give_up:
        raise NetworkError(f"{partial} studies are partial", name, "go on with --unfinished, or end with --give-up")


def _show(plans: "Iterable[StudyPlan]") -> None:
    """Print each study as it is found, and their number."""
    found = 0
    for study in plans:
        typer.echo(study.line())
        found += 1
    typer.echo(f"{found} studies")


def _require_choice(*choices: bool) -> None:
    if sum(choices) != 1:
        what = "more than one choice" if any(choices) else "nothing is wanted"
        raise ConfigurationError(what, "pull", "give filters (--list, --since, --modality...), --all or --unfinished")


@intake.command()
def push(
    files: Annotated[Path | None, typer.Argument(help="DICOM file or folder to queue first.")] = None,
    config: SiteFile = SITE_FILE,
    retry: Annotated[bool, typer.Option("--retry", help="Try everything again now that was not taken.")] = False,
) -> None:
    """Send reports and marked films to a peer; what it does not take stays queued for the next push."""
    from monai_xr.pacs import sending
    from monai_xr.pacs.audit import silence_libraries
    from monai_xr.pacs.index import Index
    from monai_xr.pacs.site import read_site, required

    silence_libraries()
    site = read_site(config)
    peer = required(site.send, "send").peer
    make_folder(site.store.folder, mode=0o700)
    with closing(Index(site.store.folder / "index.db")) as index:
        if files:
            there, added = sending.enqueue(index, files, peer)
            typer.echo(f"{there} files, {added} of them new")
        if retry:
            sending.retry_failed(index, peer)
        counts = sending.push(site, index, say=lambda line: typer.echo(line, err=True))
    typer.echo(", ".join(f"{count} {state}" for state, count in counts.items()))
    if left := counts["waiting"] + counts["failed"]:
        raise NetworkError(f"{left} files are not sent", peer, "push again later, or with --retry at once")


@intake.command()
def check(config: SiteFile = SITE_FILE) -> None:
    """Try each link to each peer, up to one study that is fetched; each failure tells its way out."""
    from monai_xr.cli.doctor import check_site
    from monai_xr.pacs.audit import silence_libraries
    from monai_xr.pacs.site import read_site

    silence_libraries()
    failures = check_site(
        read_site(config), lambda mark, what, found: typer.echo(f"{mark:8}{what}{': ' if found else ''}{found}")
    )
    if failures:
        raise failures[0]
