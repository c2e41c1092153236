"""Runs an app from its command line, by MONAI Deploy, or with --plain by the core alone: `run_app`."""

import os
import resource
import sys
from collections.abc import Sequence

from monai_xr.exits import debug_wanted, exit_codes

PLAIN, DEBUG = "--plain", "--debug"
_STACK_BYTES = 32 * 2**20  # Holoscan asks for it


def run_app(arguments: Sequence[str]) -> None:
    """Run the app and leave with the exit code of the house."""
    with exit_codes(debug=DEBUG in arguments or debug_wanted()):
        if PLAIN not in arguments:
            _give_stack()
        from monai_xr.deploy.core.command import for_monai_deploy, main

        if PLAIN in arguments:
            main(arguments)
            return
        left = for_monai_deploy(arguments)
        os.environ.setdefault("HOLOSCAN_LOG_LEVEL", "WARN")
        quiet = [] if {"-l", "--log-level"} & set(left) else ["-l", "ERROR"]  # or it logs whole paths
        from monai_xr.deploy.operators import run_graph

        run_graph([sys.argv[0], *left, *quiet])


def _give_stack() -> None:
    """Start this process again with the stack that Holoscan asks for, where it has less and may have it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    enough = soft == resource.RLIM_INFINITY or soft >= _STACK_BYTES
    if not enough and (hard == resource.RLIM_INFINITY or hard >= _STACK_BYTES):
        resource.setrlimit(resource.RLIMIT_STACK, (_STACK_BYTES, hard))
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - the same command
