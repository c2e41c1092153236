"""Commands on films: make phantoms, look at a folder, take names away, prepare a data set, deal its splits."""

from pathlib import Path
from typing import Annotated

import typer

from monai_xr.cli.app import app
from monai_xr.errors import InputDataError
from monai_xr.progress import loading, progress_bar, say

_Seed = Annotated[int | None, typer.Option(help="Of the first deal of splits; 0 by default.")]
_Fractions = Annotated[
    str | None, typer.Option(help="Shares of train, val, test in the first deal; default 0.7,0.1,0.2.")
]
_Resplit = Annotated[bool, typer.Option("--resplit", help="Deal splits anew; patients may move.")]
_NoPatients = Annotated[bool, typer.Option("--no-patients", help="Split images one by one.")]


@app.command()
def phantoms(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if absent.")],
    patients: Annotated[int, typer.Option("--patients", "--count", help="Patients; a few have two images.")] = 100,
    size: Annotated[int, typer.Option(help="Pixels on a side.")] = 512,
    seed: Annotated[int, typer.Option(help="Same seed, same files.")] = 0,
    manifest: Annotated[bool, typer.Option(help="Also write manifest.csv with patient-level splits.")] = True,
) -> None:
    """Write chest phantoms as DICOM studies with labels, to try things without patient data."""
    say("drawing phantoms ...")
    from rich.console import Console

    from monai_xr.data.phantoms import write_phantom_studies

    with progress_bar("patients") as progress:
        rows = write_phantom_studies(
            folder, patients=patients, seed=seed, size=size, manifest=manifest, progress=progress
        )
    Console().print(f"{len(rows)} images of {patients} phantom patients in {folder}")


@app.command()
def inspect(
    folder: Annotated[Path, typer.Argument(help="Any folder with DICOM, PNG or JPEG files.")],
    find: Annotated[
        str | None, typer.Option(help="Only tell the file that a report calls so; ~ stands for a patient's name.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything as JSON.")] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Also write a row a film, without ids, names, dates and files.")
    ] = None,
    sheet: Annotated[Path | None, typer.Option(help="Also write a contact sheet as PNG.")] = None,
    workers: Annotated[int | None, typer.Option(help="Films looked at at the same time.")] = None,
    decode: Annotated[
        str, typer.Option(help="isolated: in children with limits; direct: files you trust.")
    ] = "isolated",
) -> None:
    """Tell what is in a folder: counts, syntaxes, findings with their codes."""
    say("looking at the files ...")
    from monai_xr.data.files.output import check_target, write_text
    from monai_xr.data.inspecting import find_file, inspect_folder
    from monai_xr.workflows.tables import print_inspection

    if find is not None:
        typer.echo("\n".join(find_file(folder, find)))
        return
    for target in filter(None, (json_file, csv_file, sheet)):
        check_target(target)
    with progress_bar("films") as progress:
        inspection = inspect_folder(folder, decode=decode, workers=workers, progress=progress)  # type: ignore[arg-type]
    if inspection.films or inspection.others:
        print_inspection(inspection, folder)
    if not inspection.films and not inspection.is_usable:
        raise InputDataError("no image in it", folder, "name a folder of DICOM, PNG or JPEG files")
    if json_file:
        write_text(json_file, inspection.to_json() + "\n")
    if csv_file:
        write_text(csv_file, inspection.to_csv())
    if sheet:
        inspection.write_contact_sheet(sheet)


@app.command()
def deidentify(
    source: Annotated[Path, typer.Argument(help="Any tree of DICOM files.")],
    output: Annotated[Path, typer.Argument(help="Where images, quarantine and records go; run again to go on.")],
    key: Annotated[Path | None, typer.Option(help="Secret key file, made if absent; default: OUTPUT.key")] = None,
    shift_dates: Annotated[bool, typer.Option(help="Keep dates, moved by secret days per patient.")] = False,
    keep_characteristics: Annotated[bool, typer.Option(help="Keep sex, age, size, weight.")] = False,
    accept_phantoms: Annotated[bool, typer.Option(help="Let phantoms in beside films of patients.")] = False,
    accept_non_chest: Annotated[bool, typer.Option("--accept-non-chest", help="Let other body parts in.")] = False,
    allow_times: Annotated[bool, typer.Option("--allow-times", help="Let times of exposure be in pixels.")] = False,
    crosswalk: Annotated[Path | None, typer.Option(help="Also write a private list of files and outcomes.")] = None,
) -> None:
    """Remove from DICOM headers what names a patient; images with text in the pixels wait for `review`.

    Text is looked for with the extra `ocr`; without it every image waits.
    """
    say("looking at the files; what finds text in their pixels takes some seconds to start ...")
    from monai_xr.data.deidentifying import deidentify_folder
    from monai_xr.data.deidentifying.outcomes import READY, WAITING
    from monai_xr.data.sources.shown_paths import how_to_find
    from monai_xr.dicom.deidentification.data_set import DeidentificationOptions

    options = DeidentificationOptions(shift_dates=shift_dates, keep_characteristics=keep_characteristics)
    admit = ("patient", "phantom") if accept_phantoms else ("patient",)
    with progress_bar("files") as progress:
        report = deidentify_folder(
            source,
            output,
            key=key,
            options=options,
            admit=admit,
            accept_non_chest=accept_non_chest,
            allow_times=allow_times,
            crosswalk=crosswalk,
            progress=progress,
        )
    typer.echo("\n".join([*report.lines(), *how_to_find(report.refused)]))
    if report.counts[WAITING]:
        typer.echo(f"next: monai-xr review {output} --sheets    # look at what waits, and let it out")
    if report.counts[READY]:
        typer.echo(f"next: monai-xr prepare {output} DATA_SET    # or name {output} as --dataset_dir of a training")


@app.command()
def review(
    output: Annotated[Path, typer.Argument(help="Output folder of `deidentify`.")],
    release: Annotated[list[str] | None, typer.Option(help="ID of an image to let out; may repeat.")] = None,
    reject: Annotated[list[str] | None, typer.Option(help="ID of an image that must not go out; may repeat.")] = None,
    blank: Annotated[
        list[str] | None, typer.Option(help="ID of an image to let out with its text blacked out; may repeat.")
    ] = None,
    by: Annotated[str, typer.Option(help="Who decides; recorded.")] = "",
    allow_times: Annotated[bool, typer.Option("--allow-times", help="Do not black out times of exposure.")] = False,
    sheets: Annotated[bool, typer.Option(help="Write the waiting images as PNG sheets to look at.")] = False,
) -> None:
    """List the images whose pixels may name a patient; let them out, black out their text, or reject them."""
    from monai_xr.data.deidentifying import is_ended, review_folder, waiting_images, write_review_sheets

    if release or reject or blank or by:
        choices = {"release": release or (), "reject": reject or (), "blank": blank or ()}
        count = review_folder(output, **choices, by=by, allow_times=allow_times)
        typer.echo(f"{count} decisions recorded")
    waiting = waiting_images(output)
    for image in waiting:
        typer.echo(f"{image.name}  {image.patient_id}  {image.reason}")
    typer.echo(f"{len(waiting)} images wait")
    for sheet in write_review_sheets(output, waiting) if sheets else ():
        typer.echo(f"sheet: {sheet}")
    if not is_ended(output):
        typer.echo("the last run was stopped before its end: the same `monai-xr deidentify` goes on where it was")
    elif not waiting:
        typer.echo(f"next: monai-xr prepare {output} DATA_SET    # or name {output} as --dataset_dir of a training")
    if waiting:
        typer.echo("\n".join(_ways_on(output, waiting[0].name, sheets)))


def _ways_on(output: Path, name: str, sheets: bool) -> list[str]:
    """Give the commands for an image that waits."""
    ways = (("release", "let one out"), ("blank", "black out its text first"), ("reject", "keep it back"))
    see = [] if sheets else [f"see them: monai-xr review {output} --sheets"]
    return see + [f"{what}: monai-xr review {output} --{choice} {name} --by YOUR_NAME" for choice, what in ways]


@app.command()
def prepare(
    source: Annotated[Path, typer.Argument(help="Any tree of DICOM, PNG or JPEG films, or a known data set.")],
    out: Annotated[Path, typer.Argument(help="Folder of the data set; a dataset_dir for every training.")],
    size: Annotated[int | None, typer.Option(help="Pixels on a side; by default what fits the films.")] = None,
    fit: Annotated[str, typer.Option(help="Aspect ratio: squash, pad or crop.")] = "squash",
    layout: Annotated[str, typer.Option("--from", help="Known data set; auto recognises it, folder is none.")] = "auto",
    workers: Annotated[int, typer.Option(help="Films decoded at the same time.")] = 2,
    seed: _Seed = None,
    fractions: _Fractions = None,
    resplit: _Resplit = False,
    no_patients: _NoPatients = False,
    allow_duplicates: Annotated[bool, typer.Option("--allow-duplicates", help="Copies across splits.")] = False,
    accept_phantoms: Annotated[bool, typer.Option("--accept-phantoms", help="Let phantoms in.")] = False,
    accept_synthetic: Annotated[bool, typer.Option("--accept-synthetic", help="Generated images, in train.")] = False,
    accept_non_chest: Annotated[bool, typer.Option("--accept-non-chest", help="Let other body parts in.")] = False,
    decode: Annotated[str, typer.Option(help="isolated: in children with limits; direct: no limits.")] = "isolated",
    max_bad: Annotated[int | None, typer.Option(help="Refused files above which to stop with 3.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what other settings made.")] = False,
) -> None:
    """Make a data set: one pixel store, manifest.csv with patient-level splits, a report; run again to go on."""
    options = {**locals()}
    say("reading the headers ...")
    from monai_xr.data.preparing import PrepareSettings, parse_fractions, prepare
    from monai_xr.data.preparing.console import print_preparation
    from monai_xr.workflows.tables import training_next

    del options["source"], options["out"]
    settings = PrepareSettings(**options | {"fractions": parse_fractions(fractions) if fractions else None})
    with progress_bar("films") as progress:
        result = prepare(source, out, settings, progress=progress)
    print_preparation(result)
    typer.echo(f"report: {out / 'report.html'}")
    typer.echo(training_next(out, "--accept_phantoms" * accept_phantoms))


@app.command()
def split(
    folder: Annotated[Path, typer.Argument(help="A dataset_dir that names no splits.")],
    seed: _Seed = None,
    fractions: _Fractions = None,
    resplit: _Resplit = False,
    no_patients: _NoPatients = False,
) -> None:
    """Deal the patients of a folder to train, val and test, once, and tell who is where; trainings do it themselves."""
    from monai_xr.data.preparing import parse_fractions, split_folder

    shares = parse_fractions(fractions) if fractions else None
    found = split_folder(folder, seed=seed, fractions=shares, resplit=resplit, no_patients=no_patients)
    typer.echo("\n".join(found))


@app.command()
def audit(
    folder: Annotated[Path, typer.Argument(help="Labelled films, of any of the three kinds, or manifest.csv.")],
    split: Annotated[str | None, typer.Option(help="Films of this split alone.")] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--classes", "--class", help="Labels to take; may repeat, or A,B.")
    ] = None,
    accept_phantoms: Annotated[bool, typer.Option("--accept-phantoms", help="Let phantoms in.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything as JSON.")] = None,
) -> None:
    """Tell whether thumbnails, borders, file sizes, source or view tell the label: shortcuts that a network learns."""
    loading("torch")
    from monai_xr.data.files.output import check_target, write_json
    from monai_xr.workflows.auditing import audit_folder

    if json_file:
        check_target(json_file)
    with progress_bar("films") as progress:
        found = audit_folder(
            folder,
            split=split,
            classes=",".join(classes) if classes else None,
            accept_phantoms=accept_phantoms,
            progress=progress,
        )
    typer.echo("\n".join(found.lines()))
    if json_file:
        write_json(json_file, found.as_dict())
