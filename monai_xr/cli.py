"""The command `monai-xr`: one subcommand a job, one line and the right exit code for every failure."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from monai_xr.errors import ConfigurationError
from monai_xr.exits import debug_wanted, exit_codes
from monai_xr.settings import parse_typed

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},  # --image_size is --image-size
    help="Chest X-ray synthesis: read, normalise, train, sample, measure. --version also tells what confines reading.",
)
_KNOBS = {"allow_extra_args": True, "ignore_unknown_options": True}


def main() -> None:
    """Run the command line and leave with the exit code of the house."""
    debug = "--debug" in sys.argv or debug_wanted()
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    with exit_codes(debug=debug):
        if arguments == ["--version"]:
            from monai_xr.workflows.tables import print_version

            return print_version()
        app(arguments, prog_name="monai-xr")


@app.command()
def phantoms(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if absent.")],
    patients: Annotated[int, typer.Option(help="Patients; a few have two images.")] = 100,
    size: Annotated[int, typer.Option(help="Pixels on a side.")] = 512,
    seed: Annotated[int, typer.Option(help="Same seed, same files.")] = 0,
    manifest: Annotated[bool, typer.Option(help="Also write manifest.csv with patient-level splits.")] = True,
) -> None:
    """Write chest phantoms as DICOM studies with labels, to try things without patient data."""
    from rich.console import Console

    from monai_xr.data.phantoms import write_phantom_studies

    rows = write_phantom_studies(folder, patients=patients, seed=seed, size=size, manifest=manifest)
    Console().print(f"{len(rows)} images of {patients} phantom patients in {folder}")


@app.command()
def inspect(
    folder: Annotated[Path, typer.Argument(help="Any folder with DICOM, PNG or JPEG files.")],
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
    from monai_xr.data.inspection import inspect_folder
    from monai_xr.data.output import check_target, write_text
    from monai_xr.data.progress import progress_bar
    from monai_xr.workflows.tables import print_inspection

    for target in filter(None, (json_file, csv_file, sheet)):
        check_target(target)
    with progress_bar("films") as progress:
        inspection = inspect_folder(folder, decode=decode, workers=workers, progress=progress)  # type: ignore[arg-type]
    print_inspection(inspection)
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
    crosswalk: Annotated[Path | None, typer.Option(help="Also write a private list of files and outcomes.")] = None,
) -> None:
    """Remove from DICOM headers what names a patient; images that may have it in the pixels wait for `review`."""
    from monai_xr.data.deidentifying import deidentify_folder
    from monai_xr.dicom.deidentification import DeidentificationOptions

    options = DeidentificationOptions(shift_dates=shift_dates, keep_characteristics=keep_characteristics)
    admit = ("patient", "phantom") if accept_phantoms else ("patient",)
    report = deidentify_folder(
        source, output, key=key, options=options, admit=admit, accept_non_chest=accept_non_chest, crosswalk=crosswalk
    )
    typer.echo("\n".join(report.lines()))


@app.command()
def review(
    output: Annotated[Path, typer.Argument(help="Output folder of `deidentify`.")],
    release: Annotated[list[str] | None, typer.Option(help="ID of an image to let out; may repeat.")] = None,
    reject: Annotated[list[str] | None, typer.Option(help="ID of an image that must not go out; may repeat.")] = None,
    by: Annotated[str, typer.Option(help="Who decides; recorded.")] = "",
    sheets: Annotated[bool, typer.Option(help="Write the waiting images as PNG sheets to look at.")] = False,
) -> None:
    """List the images that wait because their pixels may name a patient, let them out or reject them."""
    from monai_xr.data.review_sheets import write_review_sheets
    from monai_xr.data.reviewing import review_folder, waiting_images

    if release or reject or by:
        typer.echo(f"{review_folder(output, release=release or (), reject=reject or (), by=by)} decisions recorded")
    waiting = waiting_images(output)
    for image in waiting:
        typer.echo(f"{image.name}  {image.patient_id}  {image.reason}")
    typer.echo(f"{len(waiting)} images wait")
    for sheet in write_review_sheets(output, waiting) if sheets else ():
        typer.echo(f"sheet: {sheet}")


@app.command()
def prepare(
    source: Annotated[Path, typer.Argument(help="Any tree of DICOM, PNG or JPEG films, or a known data set.")],
    out: Annotated[Path, typer.Argument(help="Folder of the data set; a dataset_dir for every training.")],
    size: Annotated[int, typer.Option(help="Pixels on a side.")] = 256,
    fit: Annotated[str, typer.Option(help="Aspect ratio: squash, pad or crop.")] = "squash",
    layout: Annotated[str, typer.Option("--from", help="Known data set; auto recognises it, folder is none.")] = "auto",
    workers: Annotated[int, typer.Option(help="Films decoded at the same time.")] = 2,
    seed: Annotated[int | None, typer.Option(help="Of the first deal of splits; 0 by default.")] = None,
    fractions: Annotated[
        str | None, typer.Option(help="Shares of train, val, test in the first deal; default 0.7,0.1,0.2.")
    ] = None,
    resplit: Annotated[bool, typer.Option("--resplit", help="Deal new splits; patients may move.")] = False,
    no_patients: Annotated[bool, typer.Option("--no-patients", help="Split images one by one.")] = False,
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
    from monai_xr.data.preparation_console import print_preparation
    from monai_xr.data.preparing import PrepareSettings, parse_fractions, prepare
    from monai_xr.data.progress import progress_bar

    del options["source"], options["out"]
    settings = PrepareSettings(**options | {"fractions": parse_fractions(fractions) if fractions else None})
    with progress_bar("films") as progress:
        result = prepare(source, out, settings, progress=progress)
    print_preparation(result)
    typer.echo(f"report: {out / 'report.html'}")


@app.command()
def split(
    folder: Annotated[Path, typer.Argument(help="A dataset_dir that names no splits.")],
    seed: Annotated[int | None, typer.Option(help="Of the first deal; 0 by default.")] = None,
    fractions: Annotated[
        str | None, typer.Option(help="Shares of train, val, test in the first deal; default 0.7,0.1,0.2.")
    ] = None,
    resplit: Annotated[bool, typer.Option("--resplit", help="Deal anew; patients may move.")] = False,
    no_patients: Annotated[bool, typer.Option("--no-patients", help="Split images one by one.")] = False,
) -> None:
    """Deal the patients of a folder to train, val and test, once, and tell who is where; trainings do it themselves."""
    from monai_xr.data.preparing import parse_fractions
    from monai_xr.data.split_table import split_folder

    shares = parse_fractions(fractions) if fractions else None
    found = split_folder(folder, seed=seed, fractions=shares, resplit=resplit, no_patients=no_patients)
    typer.echo("\n".join(found))


@app.command(
    context_settings=_KNOBS,
    epilog="The knobs are the lines at the top of the bundle's configs/train.yaml. The most used: --dataset_dir DIR, "
    "--output_dir DIR (runs/BUNDLE), --classes A,B, --max_epochs N, --image_size N, --batch_size N, --aiin none, "
    "--device cuda, --resume true.",
)
def train(
    context: typer.Context,
    bundle: Annotated[
        str,
        typer.Argument(help="Bundle folder, name of one that comes with monai_xr, or output folder of a run."),
    ],
    overlay: Annotated[list[Path] | None, typer.Option(help="Config file merged over train.yaml; may repeat.")] = None,
) -> None:
    """Train a bundle; every knob of its train.yaml is an option, as in --dataset_dir DIR --max_epochs 100.

    The output folder of a run stands for its bundle with all overlays and knobs, to resume it or to train it again.
    """
    from monai_xr.workflows.bundle_folders import find_config

    folder, config, recorded = find_config(bundle)
    from monai_xr.workflows.bundles import run_bundle

    run = run_bundle(folder, "training", config, recorded | _knobs(context.args), overlays=overlay or [])
    typer.echo(f"trained: {run} (pictures in grids, curves in metrics.jsonl); next: monai-xr sample {run}")


@app.command(context_settings=_KNOBS)
def sample(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="Output folder of a training.")],
    count: Annotated[int, typer.Option(help="Images to generate.")] = 64,
    bundle: Annotated[str | None, typer.Option(help="Bundle that was trained, where run.json does not tell.")] = None,
) -> None:
    """Generate images from a training, as PNG and as marked DICOM; the networks' knobs come from its run.json."""
    from monai_xr.workflows.sampling import sample_run

    folder = sample_run(run, count, _knobs(context.args), bundle=bundle)
    typer.echo(f"{count} synthetic images in {folder}")


@app.command()
def evaluate(
    real: Annotated[Path, typer.Argument(help="Folder of real images, of any of the three kinds.")],
    synthetic: Annotated[Path, typer.Argument(help="Folder of generated images.")],
    output: Annotated[Path, typer.Option(help="Where measures.json and report.html go.")] = Path("runs/evaluation"),
    image_size: Annotated[int | None, typer.Option(help="Pixels on a side at which both are compared.")] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--classes", "--class", help="Labels to compare; may repeat, or A,B.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split of the real side, where it names splits.")] = None,
    held_out_split: Annotated[str | None, typer.Option(help="Split of real images that sets the floor.")] = None,
    aiin: Annotated[str | None, typer.Option(help="Normalisation of the real side: none, opencv or exact.")] = None,
    space: Annotated[
        str, typer.Option(help="Feature space: random, inception=FILE, timm/MODEL=FILE or xrv=FILE.")
    ] = "random",
    accept_phantoms: Annotated[bool, typer.Option(help="Let phantoms stand for real images.")] = False,
    no_patients: Annotated[bool, typer.Option("--no-patients", help="Let splits be made image by image.")] = False,
    seed: Annotated[int, typer.Option(help="Of the pairs and intervals.")] = 0,
) -> None:
    """Compare synthetic with real images: one table, measures.json and an HTML report.

    What is not given is taken from the training that the synthetic images come from, where its run.json lies beside
    their folder; else 64 px, AIIN as in the bundles, split train.
    """
    from monai_xr.runs import settings_behind
    from monai_xr.workflows.evaluation import evaluate_folders
    from monai_xr.workflows.tables import print_measures

    labels = ",".join(classes) if classes else None
    given = {"image_size": image_size, "classes": labels, "split": split, "aiin": aiin}
    settings = settings_behind(synthetic) | {name: value for name, value in given.items() if value is not None}
    measures = evaluate_folders(
        real,
        synthetic,
        output,
        **settings,
        held_out_split=held_out_split,
        accept_phantoms=accept_phantoms,
        no_patients=no_patients,
        space=space,
        seed=seed,
    )
    print_measures(measures)
    typer.echo(f"report: {output / 'report.html'}")


@app.command()
def aiin(
    source: Annotated[Path, typer.Argument(help="An image, or a folder of them.")],
    output: Annotated[Path, typer.Argument(help="Where the normalised images and the picture go.")],
    clip_limit: Annotated[float, typer.Option(help="Contrast threshold.")] = 10.0,
    tiles: Annotated[int, typer.Option(help="Window size: tiles along each axis.")] = 4,
    mode: Annotated[str, typer.Option(help="opencv or exact.")] = "opencv",
    bits: Annotated[int, typer.Option(help="Grey levels worked with, as a power of two.")] = 8,
    accept_phantoms: Annotated[bool, typer.Option(help="Let phantoms in.")] = False,
) -> None:
    """Normalise images with AIIN, and draw before, after and histograms for a grid of thresholds and windows."""
    from monai_xr.transforms import AIIN
    from monai_xr.workflows.aiin_picture import normalise_files

    admit = ("patient", "phantom") if accept_phantoms else ("patient",)
    done = normalise_files(source, output, AIIN((tiles, tiles), clip_limit, mode, bits=bits), admit=admit)
    for name, reason in done.skipped:
        typer.echo(f"skipped {name}: {reason}")
    typer.echo(f"{len(done.written)} normalised images in {output}; picture: {done.picture}")


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("runs/demo"),
    patients: Annotated[int, typer.Option(help="Phantom patients.")] = 300,
    epochs: Annotated[int, typer.Option(help="Training epochs.")] = 150,
) -> None:
    """From phantom DICOM studies to a report, in about five minutes on two cores."""
    from monai_xr.workflows.demo import run_demo

    run_demo(output, patients=patients, epochs=epochs)


@app.command(hidden=True)
def pictures(folder: Annotated[Path, typer.Argument(help="Where to write.")]) -> None:
    """Make the pictures of the README anew, from phantoms."""
    from monai_xr.data.phantoms import make_phantom
    from monai_xr.workflows.aiin_picture import draw_aiin, write_figure
    from monai_xr.workflows.polarity_picture import draw_polarity_picture

    draw_polarity_picture(folder / "polarity.png")
    phantom = make_phantom(3, "CONSOLIDATION", size=256)
    write_figure(draw_aiin(phantom.pixels, (2.0, 10.0, 30.0), (4, 8)), folder / "aiin.png")


def _knobs(arguments: list[str]) -> dict[str, Any]:
    """Read `--key value` and `--key=value`; - and _ are the same in a key."""
    knobs: dict[str, Any] = {}
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("--"):
            raise ConfigurationError("not a knob", argument, "write knobs as --name value")
        name, equals, value = argument[2:].partition("=")
        name = name.replace("-", "_")
        if not equals:
            value = next(rest, "")
            if not value:
                raise ConfigurationError("knob without a value", name, "write knobs as --name value")
        knobs[name] = parse_typed(name, value)
    return knobs
