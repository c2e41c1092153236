"""What the run ids of a bundle call: the engines, with the exit codes of the house on every way out."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ignite.utils import manual_seed

from monai_xr.errors import XrError
from monai_xr.handlers.stopping import Stopped
from monai_xr.settings import parse_count


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn known failures, SIGINT and SIGTERM into one line on standard error and the exit code of the house.

    Raises:
        SystemExit: With the code of the failure, 130 for SIGINT and 143 for SIGTERM.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number, "")

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except XrError as error:
        print(f"monai_xr: error: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(error.exit_code) from error
    except Stopped as stopped:
        print(f"\nmonai_xr: stopped{stopped.told and '; '}{stopped.told}", file=sys.stderr)  # noqa: T201
        raise
    except KeyboardInterrupt:
        print("\nmonai_xr: stopped", file=sys.stderr)  # noqa: T201
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        signal.signal(signal.SIGTERM, previous)


def seed_everything(seed: Any) -> None:
    """Seed torch, numpy and Python.

    Raises:
        ConfigurationError: If the seed is not a whole number from 0.
    """
    manual_seed(parse_count(seed, "seed", least=0))


def run_training(trainer: Any) -> None:
    """Run a trainer to its end."""
    with exit_codes():
        trainer.run()


def run_sampling(evaluator: Any) -> None:
    """Run a MONAI evaluator whose handlers write images."""
    with exit_codes():
        evaluator.run()
