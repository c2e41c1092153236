"""What the training engines share: how a run ends, the running average of a network."""

from collections.abc import Callable
from typing import Any

import torch
from ignite.engine import Engine
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from monai_xr.handlers.events import RunEvents


def run_to_outcome(engine: Engine, run: Callable[[], Any]) -> None:
    """Run; whatever ends it, `RunEvents.STOPPED` fires once with `state.outcome` set."""
    engine.state.outcome = "finished"
    try:
        run()
    except Exception:
        engine.state.outcome = "failed"
        raise
    except BaseException:
        engine.state.outcome = "killed"
        raise
    finally:
        engine.fire_event(RunEvents.STOPPED)


@torch.no_grad()
def update_average(averaged: nn.Module, current: nn.Module, *, decay: float, step: int) -> None:
    """Move the averaged network; early on the decay is (1 + t) / (10 + t), so that the start is forgotten."""
    pairs = list(averaged.parameters()), list(current.parameters())
    get_ema_multi_avg_fn(min(decay, (1 + step) / (10 + step)))(*pairs, 0)  # type: ignore[no-untyped-call]
    for kept, buffer in zip(averaged.buffers(), current.buffers(), strict=True):
        kept.copy_(buffer)
