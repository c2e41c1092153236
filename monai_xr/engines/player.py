"""One of the two networks of a GAN with its optimiser, which a step on named loss terms updates: `Player`."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from ignite import distributed as idist
from torch import Tensor, nn
from torch.optim import Optimizer

from monai_xr.losses import AdversarialStep
from monai_xr.losses.objective import Term


@dataclass
class Player:
    """A network and its optimiser.

    Attributes:
        name: Before the names of its losses.
        network: What is trained.
        optimizer: Over the parameters of `network`.
        precision: Of autocast.
        clip: Largest length of the gradient of all parameters together; 0 leaves it.
        scaler: Of the loss, for float16.
    """

    name: str
    network: nn.Module
    optimizer: Optimizer
    precision: torch.dtype
    clip: float = 0.0
    scaler: torch.amp.GradScaler = field(init=False)

    def __post_init__(self) -> None:
        device = self._device
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision is torch.float16)

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def update(
        self, terms: Mapping[str, Term], steps: Iterable[AdversarialStep], *, parts: int = 1
    ) -> dict[str, Tensor]:
        """Make one optimiser step on the mean over the parts of a batch.

        Args:
            terms: What is minimised: the sum.
            steps: One for each part, made when its turn comes, so that one part's graph is in memory at a time.
            parts: Their number.

        Returns:
            Each term's mean and their `total`, detached, under `name/term`.
        """
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        for step in steps:
            with autocast(self._device, self.precision):
                losses = {name: term(step).float() / parts for name, term in terms.items()}
            losses["total"] = torch.stack(list(losses.values())).sum()
            torch.autograd.backward(self.scaler.scale(losses["total"]))
            sums = {name: sums.get(name, 0) + loss.detach() for name, loss in losses.items()}
        take_step(self.network, self.optimizer, self.scaler, clip=self.clip)
        return {f"{self.name}/{name}": loss for name, loss in sums.items()}


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Let gradients pass through a network but not into it; parameters that were frozen before stay so."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def take_step(network: nn.Module, optimizer: Optimizer, scaler: torch.amp.GradScaler, *, clip: float) -> None:
    """Update a network by its gradients: averaged over processes, clipped to the length `clip` if that is not 0."""
    average_over_ranks([p.grad for p in network.parameters() if p.grad is not None])
    if clip:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(network.parameters(), clip)
    scaler.step(optimizer)
    scaler.update()


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[None]:
    """The context in which networks and terms run."""
    return nullcontext() if precision is torch.float32 else torch.autocast(device.type, dtype=precision)


def average_over_ranks(tensors: list[Tensor]) -> None:
    """Replace tensors by their means over all processes, in one exchange; alone, do nothing.

    Instead of DistributedDataParallel, which allows neither penalties on gradients nor a network that runs a changing
    number of times between updates.
    """
    if idist.get_world_size() == 1 or not tensors:
        return
    flat = torch.cat([tensor.detach().flatten().float() for tensor in tensors])
    means = idist.all_reduce(flat) / idist.get_world_size()
    for tensor, mean in zip(tensors, means.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


def settle(networks: Iterable[nn.Module], device: torch.device, *, channels_last: bool) -> torch.memory_format:
    """Move networks to a device, with the weights of the first process; gives their memory format."""
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    for network in networks:
        network.to(device).to(memory_format=memory_format)
        copy_from_first_rank((network,))
    return memory_format


def copy_from_first_rank(networks: Iterable[nn.Module]) -> None:
    """Give all processes the weights and buffers of the first one."""
    if idist.get_world_size() == 1:
        return
    for network in networks:
        for tensor in network.state_dict().values():
            tensor.copy_(idist.broadcast(tensor.detach(), src=0))
