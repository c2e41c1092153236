"""Runs an app on a folder of studies in a process of its own, and tells how it ended: `run_app_on`."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from monai_xr.errors import ConfigurationError, HostError

_TIMEOUT_S = 24 * 3600


@dataclass(frozen=True)
class Ended:
    """How an app ended: its exit code, and all that it printed."""

    code: int
    said: str


def check_app(app: Path) -> None:
    """Refuse a folder that is no exported app.

    Raises:
        ConfigurationError: It has no `app/__main__.py`, or no `models`.
    """
    if not (app / "app" / "__main__.py").is_file() or not (app / "models").is_dir():
        raise ConfigurationError("no app with its models", app, "name a folder that monai-xr export wrote")


def run_app_on(app: Path, films: Path, output: Path, *, accept_phantoms: bool = False) -> Ended:
    """Run an app on a folder of studies, without Holoscan, in a process of its own.

    Raises:
        HostError: It cannot be started, or does not end within a day.
    """
    command = [sys.executable, str(app / "app"), "--plain", "-i", str(films), "-o", str(output)]
    command += ["-m", str(app / "models"), *["--accept-phantoms"] * accept_phantoms]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"the app did not run ({type(error).__name__})", app, "see that it runs by hand") from None
    return Ended(ended.returncode, ended.stdout + ended.stderr)
