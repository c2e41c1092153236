"""Commands on models: train a bundle, sample it, judge its images; AIIN by itself; the demo."""

from pathlib import Path
from typing import Annotated, Any

import typer

from monai_xr.cli.app import app
from monai_xr.cli.help_tables import print_table
from monai_xr.progress import loading, progress_bar, say, working
from monai_xr.settings import parse_typed

_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
_COLUMNS = ("setting and default", "")
_Help = Annotated[bool, typer.Option("--help", help="Show this and exit; after the first argument, its settings.")]

# Of `evaluate`.
_OUTPUT = "Where measures.json and report.html go; else a new folder in the run, or in runs/evaluation."
_HELD_OUT = "Split of other real images to compare with: auto takes val, else test; none halves."
_SPACE = "Feature space: random, lite0, own (learned once), own=RUN, inception=, timm/MODEL= or xrv=FILE."
_Output = Annotated[Path | None, typer.Option(help=_OUTPUT)]
_Classes = Annotated[
    list[str] | None, typer.Option("--classes", "--class", help="Labels to compare; may repeat, or A,B.")
]
_HeldOutSplit = Annotated[str, typer.Option(help=_HELD_OUT)]
_Space = Annotated[str, typer.Option(help=_SPACE)]


@app.command(context_settings=_SETTINGS, add_help_option=False)
def train(
    context: typer.Context,
    bundle: Annotated[
        str | None,
        typer.Argument(help="Bundle folder, name of one that comes with monai_xr, or output folder of a run."),
    ] = None,
    overlay: Annotated[list[Path] | None, typer.Option(help="Config file merged over train.yaml; may repeat.")] = None,
    help_wanted: _Help = False,
) -> None:
    """Train a bundle; every line at the top of its train.yaml is a setting: --dataset_dir DIR --max_epochs 100.

    The output folder of a run stands for its bundle with all overlays and settings, to resume it or to train it again.
    """
    from monai_xr.workflows.bundle_running.bundle_folders import (
        bundle_tasks,
        check_versions,
        config_files,
        find_config,
        overlays_of,
    )
    from monai_xr.workflows.bundle_running.settings_list import SettingsList

    if bundle is None:
        _help_or_refuse(context, "bundle", help_wanted)
        print_table("bundles, whose settings `monai-xr train BUNDLE --help` lists", ("bundle", "task"), bundle_tasks())
        return
    folder, config, recorded = find_config(bundle)
    files = config_files(folder, config, overlay or [])
    settings = SettingsList(files, commented=[*config_files(folder, "train"), *files])
    if help_wanted:
        print_table(f"settings of {bundle}", _COLUMNS, settings.lines())
        print_table("overlays, as in --overlay FILE", ("file", ""), overlays_of(folder))
        return
    typed = recorded | settings.read(context.args)
    settings.check(typed)
    check_versions(folder)
    loading("torch", "monai", "monai_xr.handlers.usual")
    from monai_xr.workflows.bundle_running.bundles import run_bundle

    run_bundle(folder, "training", config, typed, overlays=overlay or [])


@app.command(context_settings=_SETTINGS, add_help_option=False)
def sample(
    context: typer.Context,
    run: Annotated[Path | None, typer.Argument(help="Output folder of a training.")] = None,
    count: Annotated[int, typer.Option(help="Images to generate.")] = 64,
    bundle: Annotated[str | None, typer.Option(help="Bundle that was trained, where run.json does not tell.")] = None,
    help_wanted: _Help = False,
) -> None:
    """Generate images from a training, as PNG and as marked DICOM; again, new ones from the next seed.

    Whatever is not typed is as it was in the training.
    """
    from monai_xr.runs import RunFolder
    from monai_xr.runs.summary import next_commands
    from monai_xr.workflows.bundle_running.sampling import plan_samples, settings_of_all, settings_of_sampling

    if run is None:
        _help_or_refuse(context, "run", help_wanted)
        print_table("settings beside these", _COLUMNS, settings_of_all())
        return
    folder, settings = settings_of_sampling(run, bundle)
    if help_wanted:
        print_table(f"settings of {folder.name}", _COLUMNS, settings.lines())
        return
    plan = plan_samples(run, count, settings.read(context.args), bundle=bundle)
    if plan.note:
        typer.echo(plan.note)
    loading("torch", "monai")
    place = plan.carry_out()
    typer.echo(f"{count} synthetic images in {place}")
    typer.echo(f"next: {next_commands(RunFolder(run), images=place)[0]}")


@app.command()
def pack(
    run: Annotated[Path, typer.Argument(help="Output folder of a training.")],
    output: Annotated[Path, typer.Argument(help="Where the bundle with its weights goes.")],
    bundle: Annotated[str | None, typer.Option(help="Bundle that was trained, where run.json does not tell.")] = None,
    url: Annotated[str | None, typer.Option(help="Where the weights will lie; lists them in large_files.yml.")] = None,
) -> None:
    """Make a bundle that carries its weights, models/model.pt and models/model.safetensors, and needs no run folder."""
    loading("torch", "monai")
    from monai_xr.workflows.bundle_running.packing import pack_run

    for file in pack_run(run, output, bundle=bundle, url=url):
        typer.echo(f"{file} ({file.stat().st_size / 1e6:.1f} MB)")


@app.command()
def evaluate(
    real: Annotated[Path, typer.Argument(help="Folder of real images, of any of the three kinds.")],
    synthetic: Annotated[Path, typer.Argument(help="Folder of generated images.")],
    output: _Output = None,
    image_size: Annotated[int | None, typer.Option(help="Pixels on a side at which both are compared.")] = None,
    classes: _Classes = None,
    split: Annotated[str | None, typer.Option(help="Split of the real side, where it names splits.")] = None,
    held_out_split: _HeldOutSplit = "auto",
    aiin: Annotated[str | None, typer.Option(help="Of real films: none, opencv, exact, or {'clip_limit': 5}.")] = None,
    space: _Space = "random",
    accept_phantoms: Annotated[bool, typer.Option(help="Let phantoms stand for real images.")] = False,
    no_patients: Annotated[bool, typer.Option("--no-patients", help="Let splits be made image by image.")] = False,
    seed: Annotated[int, typer.Option(help="Of the pairs and intervals.")] = 0,
    show_all: Annotated[bool, typer.Option("--all", help="Print the table of all measures too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what measures.json holds, and nothing else.")] = False,
) -> None:
    """Compare synthetic with real images: five questions with their lights, measures.json and an HTML report.

    What is not given is taken from the training that the synthetic images come from, where its run.json lies beside
    their folder; else 64 px, split train, and AIIN as in the bundles for images of our generators, none for others.
    """
    from monai_xr.data.files.output import no_empty_folders
    from monai_xr.runs import GeneratedImages
    from monai_xr.workflows.judging_images.asked import images_told, settings_asked, usual_folder

    made = GeneratedImages(synthetic)
    given = {"image_size": image_size, "classes": ",".join(classes or ()) or None, "split": split}
    given |= {"aiin": aiin and parse_typed("aiin", aiin), "accept_phantoms": accept_phantoms or None}
    chosen: dict[str, Any] = {"held_out_split": held_out_split, "no_patients": no_patients}
    settings = settings_asked(real, made, given, **chosen)
    say(images_told(made, settings["aiin"]))
    free, cache = usual_folder(made)
    output = output or free
    loading("torch", "monai", "monai_xr.workflows.judging_images.evaluation")
    from monai_xr.workflows.judging_images.evaluation import MEASURES, REPORT, evaluate_folders
    from monai_xr.workflows.judging_images.terminal import next_lines, print_lights, print_measures

    chosen |= {"space": space, "seed": seed, "cache_dir": cache}
    with no_empty_folders(cache, output):
        measures = evaluate_folders(real, made, output, **settings, **chosen)
    if as_json:
        typer.echo((output / MEASURES).read_text(encoding="utf-8"), nl=False)
        return
    if show_all:
        print_measures(measures)
    print_lights(measures)
    typer.echo("\n".join([f"report: {output / REPORT}", *next_lines(measures, real, made.training)]))


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
    from monai_xr.data.files.data_folder import check_there

    check_there(source)
    with working("reading"):
        from monai_xr.transforms.aiin.functions import ArrayNormaliser
        from monai_xr.transforms.aiin.settings import checked_settings
        from monai_xr.workflows.aiin_picture import normalise_files

    normaliser = ArrayNormaliser(checked_settings((tiles, tiles), clip_limit, mode, bits))
    admit = ("patient", "phantom") if accept_phantoms else ("patient",)
    with progress_bar("images") as progress:
        done = normalise_files(source, output, normaliser, admit=admit, progress=progress)
    for name, reason in done.skipped:
        typer.echo(f"skipped {name}: {reason}")
    typer.echo(f"{len(done.written)} normalised images in {output}; picture: {done.picture}")


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("runs/demo"),
    patients: Annotated[int, typer.Option(help="Phantom patients.")] = 500,
    epochs: Annotated[int, typer.Option(help="Training epochs.")] = 120,
) -> None:
    """From phantom DICOM studies to a report, with five minutes of training on two cores."""
    loading("torch", "monai")
    from monai_xr.workflows.demo import run_demo

    run_demo(output, patients=patients, epochs=epochs)


def _help_or_refuse(context: typer.Context, argument: str, help_wanted: bool) -> None:
    if not help_wanted:
        raise typer.BadParameter(f"Missing argument '{argument}'; --help tells which there are.")
    typer.echo(context.get_help(), nl=False)
