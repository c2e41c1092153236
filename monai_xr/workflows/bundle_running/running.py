"""What the configs of the bundles call, as `xr`: the engines, seeded, and told when they are to stop."""

import signal
import sys
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Events
from ignite.utils import manual_seed

from monai_xr.data.files.output import free_folder
from monai_xr.engines import pick_device
from monai_xr.exits import is_plain_command
from monai_xr.handlers.checkpointing.stopping import Stopped
from monai_xr.runs import RunFolder, settings_behind
from monai_xr.runs.summary import resume_command, summary_of
from monai_xr.settings import parse_count
from monai_xr.workflows.bundle_running.kept_config import (
    keep_config,
    knobs_as_set,
    networks_as_resolved,
    parser_at_work,
)
from monai_xr.workflows.bundle_running.plain_command import prepare_plain_command

__all__ = [
    "RunFolder",
    "free_folder",
    "join_processes",
    "knobs_as_set",
    "pick_device",
    "prepare_plain_command",
    "run_training",
    "seed_everything",
    "settings_behind",
]


def seed_everything(seed: Any) -> None:
    """Seed torch, numpy and Python, each process of a training in its own way.

    Raises:
        ConfigurationError: If the seed is not a whole number from 0.
    """
    manual_seed(parse_count(seed, "seed", least=0) + idist.get_rank())


def join_processes() -> None:
    """Join the other processes that `torchrun` started: over nccl with cards, else over gloo."""
    idist.initialize("nccl" if pick_device().type == "cuda" else "gloo")


def run_training(trainer: Any) -> None:
    """Run a trainer to its end and say what it reached and what comes next, or what was saved where a signal ends it.

    As a run id of a bundle, its config is kept beside the run.
    """
    parser = parser_at_work()
    if parser is not None:
        trainer.state.networks = networks_as_resolved(parser)
        trainer.add_event_handler(Events.STARTED, lambda: keep_config(parser))
    output, films = (str(parser.get_parsed_content(name)) if parser else "" for name in ("output_dir", "dataset_dir"))
    try:
        trainer.run()
    except Stopped as stopped:
        again = [resume_command(Path(output), films)] * bool(output and stopped.told and not is_plain_command())
        _tell_end(": ".join((f"stopped; {stopped.told}" if stopped.told else "stopped", *again)))
        raise
    except KeyboardInterrupt:
        if getattr(trainer.state, "outcome", "") != "finished":
            raise
        _tell_end("the training is finished and saved; MLflow may lack its end")
        raise SystemExit(128 + signal.SIGINT) from None
    run = RunFolder(output)
    if output and idist.get_rank() == 0 and run.is_recorded:
        print(*summary_of(run, films=films).end_lines(), sep="\n", flush=True)  # noqa: T201


def _tell_end(how: str) -> None:
    print(f"\nmonai_xr: {how}", file=sys.stderr)  # noqa: T201
