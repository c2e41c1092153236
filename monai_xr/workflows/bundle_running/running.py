"""What the run ids of a bundle call: the engines, seeded, and told when they are to stop."""

import sys
from typing import Any

from ignite.engine import Events
from ignite.utils import manual_seed

from monai_xr.handlers.checkpointing.stopping import Stopped
from monai_xr.settings import parse_count
from monai_xr.workflows.bundle_running.kept_config import keep_config, networks_as_resolved, parser_at_work


def seed_everything(seed: Any) -> None:
    """Seed torch, numpy and Python.

    Raises:
        ConfigurationError: If the seed is not a whole number from 0.
    """
    manual_seed(parse_count(seed, "seed", least=0))


def run_training(trainer: Any) -> None:
    """Run a trainer to its end; say what was saved where a signal ends it.

    As a run id of a bundle, its config is kept beside the run.
    """
    parser = parser_at_work()
    if parser is not None:
        trainer.state.networks = networks_as_resolved(parser)
        trainer.add_event_handler(Events.STARTED, lambda: keep_config(parser))
    try:
        trainer.run()
    except Stopped as stopped:
        print(f"\nmonai_xr: stopped{stopped.told and '; '}{stopped.told}", file=sys.stderr)  # noqa: T201
        raise


def run_sampling(evaluator: Any) -> None:
    """Run a MONAI evaluator whose handlers write images."""
    evaluator.run()
