"""What the training engines share: what an iteration gives, how a run ends, the running average of a network."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, TypeVar

import torch
from ignite.engine import Engine
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from monai_xr.handlers.events import RunEvents
from monai_xr.settings import parse_number

Network = TypeVar("Network", bound=nn.Module)


class StepOutput(list[dict[str, Any]]):
    """What an iteration gives: by position one dict per image, as MONAI's handlers read it; by name the whole batch.

    Tensors of one dimension and more are split over the images; numbers, and mappings of numbers, stand in each.

    Args:
        batch: Tensors and mappings by name; gradients are cut off.
    """

    def __init__(self, batch: Mapping[str, Any]) -> None:
        self.batch = {name: value.detach() if isinstance(value, Tensor) else value for name, value in batch.items()}
        split = {name: value for name, value in self.batch.items() if isinstance(value, Tensor) and value.ndim}
        same = {name: value for name, value in self.batch.items() if name not in split}
        images = zip(*(value.unbind() for value in split.values()), strict=True)
        super().__init__({**dict(zip(split, values, strict=True)), **same} for values in images)

    def __getitem__(self, place: Any) -> Any:
        return self.batch[place] if isinstance(place, str) else super().__getitem__(place)

    def get(self, name: str, default: Any = None) -> Any:
        """Give what has a name for the whole batch, or the default."""
        return self.batch.get(name, default)


def flat(handlers: Iterable[Any] | None) -> list[Any]:
    """Give all handlers of a list that may hold lists of them, as `usual_handlers` makes."""
    return [each for one in handlers or () for each in (flat(one) if isinstance(one, list) else [one])]


def run_to_outcome(engine: Engine, run: Callable[[], Any]) -> None:
    """Run; whatever ends it, `RunEvents.STOPPED` fires once with `state.outcome` set."""
    engine.state.outcome = "finished"
    try:
        run()
    except Exception:
        engine.state.outcome = "failed"
        raise
    except BaseException:
        engine.state.outcome = "stopped"
        raise
    finally:
        engine.fire_event(RunEvents.STOPPED)


def average_of(network: Network, ema_decay: float) -> tuple[float, Network | None]:
    """Read the decay of a running average; give a copy of the network to hold that, None where the decay is 0."""
    decay = parse_number(ema_decay, "ema_decay", below=1)
    return decay, deepcopy(network).eval().requires_grad_(False) if decay else None


@torch.no_grad()
def update_average(averaged: nn.Module, current: nn.Module, *, decay: float, step: int) -> None:
    """Move the averaged network; early on the decay is (1 + t) / (10 + t), so that the start is forgotten."""
    pairs = list(averaged.parameters()), list(current.parameters())
    get_ema_multi_avg_fn(min(decay, (1 + step) / (10 + step)))(*pairs, 0)  # type: ignore[no-untyped-call]
    for kept, buffer in zip(averaged.buffers(), current.buffers(), strict=True):
        kept.copy_(buffer)
