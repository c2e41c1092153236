"""Stops a training whose numbers are no longer numbers."""

from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from monai_xr.errors import DivergedError
from monai_xr.handlers.epoch_losses import named_losses


class StopOnNonFinite:
    """Raises `DivergedError` (exit code 7) in the iteration that leaves NaN or infinity in a loss or in a weight.

    A gradient that is not finite reaches the weights through the optimiser in the same iteration, so it is found
    there; one that a loss scaler skips on purpose does not, and is no failure. Weights and buffers are judged by their
    2-norms, so values above 1e19 count as infinite. The device is waited for once per iteration.

    Works for any engine whose output holds `losses` (named scalars) or `loss`. The networks are those among
    `engine.objects_to_save()`, or `engine.network`.
    """

    def __init__(self) -> None:
        self.networks: dict[str, list[Tensor]] = {}

    def attach(self, engine: Engine) -> None:
        """Look after every iteration."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.check)

    def start(self, engine: Any) -> None:
        """Take down which tensors the networks hold."""
        self.networks = networks_of(engine)

    def check(self, engine: Any) -> None:
        """Look at the losses and weights of this iteration."""
        broken = not_finite(named_losses(engine.state.output), self.networks)
        if not broken:
            return
        raise DivergedError(
            f"{', '.join(broken)} not finite in iteration {engine.state.iteration}",
            f"epoch {engine.state.epoch}",
            _way_out(engine),
        )


def not_finite(losses: Mapping[str, Any], networks: Mapping[str, list[Tensor]]) -> list[str]:
    """Name the losses, and the networks by their tensors, that are not finite; waits for the device once."""
    values = {name: torch.as_tensor(loss).detach().float().sum() for name, loss in losses.items()}
    for name, tensors in networks.items():
        norms = torch._foreach_norm(tensors)
        values[f"weights of {name}"] = torch.stack([norm.float() for norm in norms]).sum()
    home = next(iter(values.values())).device
    finite = torch.isfinite(torch.stack([value.to(home) for value in values.values()])).tolist()
    return [name for name, good in zip(values, finite, strict=True) if not good]


def networks_of(engine: Any) -> dict[str, list[Tensor]]:
    """Give the weights and buffers of each network of an engine, by its name."""
    things = engine.objects_to_save() if hasattr(engine, "objects_to_save") else {"network": engine.network}
    networks = {name: thing for name, thing in things.items() if isinstance(thing, nn.Module)}
    return {name: found for name, network in networks.items() if (found := _floating(network))}


def _floating(network: nn.Module) -> list[Tensor]:
    tensors = [*network.parameters(), *network.buffers()]
    return [tensor.detach() for tensor in tensors if tensor.is_floating_point() and tensor.numel()]


def _way_out(engine: Any) -> str:
    saved = getattr(engine.state, "checkpoint_name", None)
    kept = f"{saved} is the last good checkpoint" if saved else "no checkpoint was saved yet"
    if saved and getattr(engine, "precision", torch.float32) is not torch.float32:
        return f"{kept}: go on from it with --resume true --precision float32, or start anew with a lower learning rate"
    return f"{kept}; start anew with a lower learning rate"
