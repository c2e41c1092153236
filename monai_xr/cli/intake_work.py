"""Commands of the intake on what was received: work on it, explain what the rules say of a film, try again."""

import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from monai_xr.cli.intake import SITE_FILE, SiteFile, intake
from monai_xr.errors import ConfigurationError, InputDataError

_SHORTEST_NAME = 6


@intake.command()
def work(
    config: SiteFile = SITE_FILE,
    once: Annotated[bool, typer.Option("--once", help="End when nothing is left to do.")] = False,
    beside: Annotated[bool, typer.Option("--beside", hidden=True)] = False,
) -> None:
    """Bring received studies into the data set; `serve` does so by itself."""
    from monai_xr.pacs.audit import silence_libraries
    from monai_xr.pacs.processing import Processing
    from monai_xr.pacs.querying import counted
    from monai_xr.pacs.site import read_site
    from monai_xr.pacs.study_worker import end_with_parent

    if beside:  # the process that holds the other end of the pipe
        threading.Thread(target=end_with_parent, args=(sys.stdin.fileno(),), daemon=True).start()
    silence_libraries()
    processing = Processing(
        read_site(config), ask=counted, tell=lambda line: typer.echo(line, err=True), say=typer.echo
    )
    try:
        processing.run(once=once)
    finally:
        processing.close()


@intake.command()
def explain(
    file: Annotated[Path, typer.Argument(help="A DICOM file.")],
    config: SiteFile = SITE_FILE,
) -> None:
    """Tell which rule takes a film and why the others do not; nothing is changed."""
    from monai_xr.dicom.chest import chest_doubt
    from monai_xr.dicom.header import read_header
    from monai_xr.dicom.identity import admitted
    from monai_xr.pacs.rules import decide
    from monai_xr.pacs.site import read_site

    site, header = read_site(config), read_header(file)
    verdict = decide(header, site.rules)
    for name, why in verdict.others:
        typer.echo(f"{name}: does not take it, {why}")
    if verdict.rule:
        typer.echo(f"{verdict.rule.name}: takes it, {verdict.rule.then} {verdict.rule.to or ''}".rstrip())
        for rule in site.rules[len(verdict.others) + 1 :]:
            typer.echo(f"{rule.name}: is not asked")
    else:
        typer.echo("no rule takes it: ignored" if site.rules else "there are no rules: kept")
    if not verdict.data_set:
        return
    clean = site.deidentification
    try:
        admitted(header, clean.admit if clean else ("patient",))
        doubt = chest_doubt(header, accept_non_chest=bool(clean and clean.accept_non_chest))
    except InputDataError as error:
        typer.echo(f"then stopped by its header: {error.what}")
    else:
        typer.echo(f"then goes to the data set {verdict.data_set}" + f" ({doubt})" * bool(doubt))


@intake.command()
def retry(
    names: Annotated[list[str] | None, typer.Argument(help="As listed without names, or Study Instance UIDs.")] = None,
    config: SiteFile = SITE_FILE,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    ignored: Annotated[bool, typer.Option("--ignored", help="Not those in quarantine but the ignored ones.")] = False,
) -> None:
    """List the studies in quarantine with the reasons; have those that are named worked on again."""
    from monai_xr.data.identifiers import hashed
    from monai_xr.pacs.counters import index_of
    from monai_xr.pacs.index import Index
    from monai_xr.pacs.site import read_site

    index = Index(index_of(read_site(config)))
    rows = index.studies("ignored" if ignored else "quarantined")
    called = {(row.study_uid, row.version): hashed(row.study_uid) for row in rows}
    for name in names or ():
        if not any(_is_called(name, each, uid) for (uid, _), each in called.items()):
            raise ConfigurationError("none of these studies is called so", "names", "see the list without names")
    again = [
        row
        for row in rows
        if every or any(_is_called(name, called[row.study_uid, row.version], row.study_uid) for name in names or ())
    ]
    for row in again:
        index.move(row.study_uid, row.version, "waiting", "tried again", tries=0)
    if again:
        typer.echo(f"{len(again)} of {len(rows)} studies are worked on again")
        return
    for row in rows:
        typer.echo(f"{called[row.study_uid, row.version]} version {row.version}: {row.reason}")
    typer.echo(f"{len(rows)} studies {'ignored' if ignored else 'in quarantine'}")


def _is_called(name: str, listed: str, study_uid: str) -> bool:
    return name == study_uid or (len(name) >= _SHORTEST_NAME and listed.startswith(name))
