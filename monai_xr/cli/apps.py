"""Commands around a deployed app: verify it, accept it at a site, watch its films for drift."""

from pathlib import Path
from typing import Annotated

import typer

from monai_xr.cli.app import app
from monai_xr.errors import ModelError, ShiftedError
from monai_xr.progress import loading


@app.command()
def drift(
    reference: Annotated[Path, typer.Argument(help="Film records of films that the app is known to do well on.")],
    records: Annotated[Path, typer.Argument(help="Film records of later films, as the app adds them.")],
    output: Annotated[Path, typer.Option(help="The page.")] = Path("drift.html"),
    window: Annotated[int, typer.Option(help="Films that are compared at once.", min=20)] = 50,
    weeks: Annotated[bool, typer.Option("--weeks", help="Compare week by week instead.")] = False,
) -> None:
    """Compare the films of an app with a reference; exit code 8 where the newest window has shifted."""
    from monai_xr.data.files.output import check_target
    from monai_xr.deploy.drift import FEWEST, FEWEST_IN_REFERENCE, read_records, windows_of

    check_target(output)
    base, later = read_records(reference, fewest=FEWEST_IN_REFERENCE), read_records(records, fewest=FEWEST)
    found = windows_of(base, later, window=window, by_week=weeks)
    loading("torch")
    from monai_xr.deploy.drift_page import alarm_text, write_drift_page

    sources = {"reference": reference.name, "records": records.name}
    write_drift_page(output, found, reference=len(base), sources=sources)
    typer.echo(f"{len(found)} windows, {sum(each.is_alarm for each in found)} with an alarm\npage: {output}")
    if alarm := alarm_text(found[-1]):
        raise ShiftedError(alarm, records, f"see {output.name}; judge films of these weeks before more are read")


@app.command("verify-app")
def verify_app(
    folder: Annotated[Path, typer.Argument(help="Folder that monai-xr export wrote.")],
    air: Annotated[bool, typer.Option("--air", help="Also check its reports by the rules of IHE AI Results.")] = False,
) -> None:
    """Run an app on phantom studies of every kind and tell, row by row, whether it does what it must."""
    from monai_xr.cli.help_tables import print_table
    from monai_xr.deploy.verifying import verify_app as verify

    rows = verify(folder, air=air)
    shown = [("ok" if not each.wrong else "WRONG", each.given, each.wanted, each.wrong) for each in rows]
    print_table("Conformance", ("", "given", "wanted", "found"), shown)
    if failed := sum(bool(each.wrong) for each in rows):
        raise ModelError(f"{failed} of {len(rows)} rows are wrong", folder, "see the table; do not deploy it")


@app.command()
def accept(
    folder: Annotated[Path, typer.Argument(help="Folder of the app, that monai-xr export wrote.")],
    films: Annotated[Path, typer.Argument(help="The site's own labelled DICOM films, 20 or more.")],
    output: Annotated[Path, typer.Option(help="Where page, measures and the signed record go.")] = Path("acceptance"),
    sensitivity: Annotated[float, typer.Option(help="That the site wants.", min=0.5, max=0.999)] = 0.9,
    check: Annotated[bool, typer.Option("--check", help="Compare app, films and results with the record.")] = False,
    accept_phantoms: Annotated[bool, typer.Option("--accept-phantoms", help="Let phantoms in.")] = False,
) -> None:
    """Try an app on the site's own films: AUROC, calibration, the site's threshold, groups; one signed page."""
    loading("torch")
    if check:
        from monai_xr.data.sources.finding import find_records
        from monai_xr.deploy.acceptance_record import check_acceptance, sign

        records = find_records(films, split=None)
        check_acceptance(output, sign(folder, [each.image for each in records], [each.label for each in records]))
        typer.echo("app, films, labels and results are those that were signed here")
        return
    from monai_xr.deploy.accepting import accept_app

    told = accept_app(folder, films, output, sensitivity=sensitivity, accept_phantoms=accept_phantoms)
    typer.echo("\n".join([*told, f"page: {output / 'report.html'}"]))
