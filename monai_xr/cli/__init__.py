"""The command `monai-xr`: one subcommand a job, one line and the right exit code for every failure."""

import sys

from monai_xr.cli import (  # noqa: F401 - they add their commands
    apps,
    classifier,
    data,
    export,
    intake,
    intake_init,
    intake_peers,
    intake_work,
    runs,
    study,
    training,
)
from monai_xr.cli.app import app
from monai_xr.exits import debug_wanted, exit_codes, warnings_in_a_line


def main() -> None:
    """Run the command line and leave with the exit code of the house."""
    debug = "--debug" in sys.argv or debug_wanted()
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    with exit_codes(debug=debug), warnings_in_a_line():
        app(arguments, prog_name="monai-xr")
