"""The typer application that the commands are added to: flags and names of options as people type them."""

import signal
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from monai_xr.settings import FLAGS

JOURNEY = {  # as `--help` lists the commands
    "begin": ("demo", "phantoms"),
    "films": ("inspect", "audit", "aiin", "deidentify", "review", "split", "prepare"),
    "generators": ("train", "sample", "evaluate", "runs", "report", "mlflow", "pack"),
    "classifiers": ("study", "test", "judge"),
    "clinic": ("intake", "export", "verify-app", "accept", "drift"),
}
_RESUMABLE = ("prepare", "deidentify", "pull", "run", "plan")


class FlagCommand(TyperCommand):
    """A command whose flags may be followed by true or false, as the settings of a bundle are."""

    def parse_args(self, context: Any, arguments: list[str]) -> list[str]:
        """Read arguments after writing `--flag true` as `--flag` and `--flag false` as `--no-flag`."""
        return super().parse_args(context, self._without_values(arguments))

    def invoke(self, context: Any) -> Any:
        """Run, and say in one line that Ctrl-C ended it: typer alone leaves without a word."""
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            again = "goes on where it was" if self.name in _RESUMABLE else "begins anew"
            typer.echo(f"\nmonai_xr: stopped; the same command {again}", err=True)
            raise typer.Exit(128 + signal.SIGINT) from None
        except SystemExit as error:
            if type(error) is SystemExit and error.code == 128 + signal.SIGTERM and self.name in _RESUMABLE:
                typer.echo("the same command goes on where it was", err=True)
            raise

    def _without_values(self, arguments: list[str]) -> list[str]:
        flags = {name: each for each in self.params for name in each.opts if getattr(each, "is_flag", False)}
        kept: list[str] = []
        rest = list(arguments)
        while rest:
            name, equals, value = rest.pop(0).partition("=")
            flag = flags.get(name.replace("_", "-"))
            if flag is None or flag.name == "help":
                kept.append(name + equals + value)
                continue
            if not equals and rest and rest[0].lower() in FLAGS:
                value = rest.pop(0)
            wanted = FLAGS.get(value.lower(), True)
            kept += [name] if wanted else flag.secondary_opts[:1]
        return kept


class Journey(TyperGroup):
    """All commands, in the order in which one needs them."""

    def list_commands(self, context: Any) -> list[str]:
        """Give their names, and each command its panel."""
        panels = {name: panel for panel, names in JOURNEY.items() for name in names}
        for name, command in self.commands.items():
            command.rich_help_panel = panels.get(name)  # type: ignore[attr-defined]
        return sorted(self.commands, key=[*panels].index)


class App(typer.Typer):
    """Typer with such commands."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Add a command."""
        return super().command(name, **{"cls": FlagCommand, **settings})


def _version(wanted: bool) -> None:
    if wanted:
        from monai_xr.workflows.tables import print_version

        print_version()
        raise typer.Exit


app = App(
    cls=Journey,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},  # --image_size is --image-size
    help="Chest X-ray synthesis: read, normalise, train, sample, measure.",
)


@app.callback()
def _every_command(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and what confines reading."
    ),
    debug: bool = typer.Option(False, "--debug", help="Show where a failure came from; may stand anywhere."),
) -> None:
    """Hold the options of all commands; `--debug` is taken out of the arguments before they come here."""
