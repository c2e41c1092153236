"""Stops a training whose numbers are no longer numbers."""

from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from monai_xr.errors import DivergedError
from monai_xr.handlers.losses import named_losses


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
        self.networks = {name: _floating(network) for name, network in _networks(engine).items()}

    def check(self, engine: Any) -> None:
        """Look at the losses and weights of this iteration."""
        losses = {name: torch.as_tensor(loss).detach() for name, loss in named_losses(engine.state.output).items()}
        values = [loss.float().sum() for loss in losses.values()]
        home = values[0].device
        for tensors in self.networks.values():
            norms = torch._foreach_norm(tensors)
            values.append(torch.stack([norm.float() for norm in norms]).sum().to(home))
        finite = torch.isfinite(torch.stack(values)).tolist()
        if all(finite):
            return
        names = [*losses, *(f"weights of {name}" for name in self.networks)]
        broken = [name for name, good in zip(names, finite, strict=True) if not good]
        raise DivergedError(
            f"{', '.join(broken)} not finite in iteration {engine.state.iteration}",
            f"epoch {engine.state.epoch}",
            _way_out(engine),
        )


def _networks(engine: Any) -> dict[str, nn.Module]:
    if not hasattr(engine, "objects_to_save"):
        return {"network": engine.network}
    return {name: thing for name, thing in engine.objects_to_save().items() if isinstance(thing, nn.Module)}


def _floating(network: nn.Module) -> list[Tensor]:
    tensors = [*network.parameters(), *network.buffers()]
    return [tensor.detach() for tensor in tensors if tensor.is_floating_point() and tensor.numel()]


def _way_out(engine: Any) -> str:
    saved = getattr(engine.state, "checkpoint_name", None)
    kept = f"{saved} is the last good checkpoint" if saved else "no checkpoint was saved yet"
    if saved and getattr(engine, "precision", torch.float32) is not torch.float32:
        return f"{kept}: go on from it with --resume true --precision float32, or start anew with a lower learning rate"
    return f"{kept}; start anew with a lower learning rate"
