"""The typer application that the commands are added to."""

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},  # --image_size is --image-size
    help="Chest X-ray synthesis: read, normalise, train, sample, measure. --version also tells what confines reading.",
)
