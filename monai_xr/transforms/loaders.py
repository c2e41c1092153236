"""Gives batches of a data set: `xray_loader` for training, `validation_loader` with every film once."""

from collections.abc import Iterator
from typing import Any

import torch
from ignite import distributed as idist
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from monai_xr.errors import ConfigurationError
from monai_xr.settings import parse_count

BALANCES = ("none", "weights", "sampling")


class BalancedSampler(DistributedSampler[Any]):
    """Draws films with replacement so that every class comes equally often; the epoch and the seed decide the draws.

    Args:
        dataset: `LabelledXrays` of one class each.
        seed: Of the draws.
    """

    def __init__(self, dataset: Any, *, seed: int) -> None:
        super().__init__(dataset, num_replicas=idist.get_world_size(), rank=idist.get_rank(), seed=seed)
        self.weights = dataset.targets @ dataset.balanced_weights()

    def __iter__(self) -> Iterator[int]:
        source = torch.Generator().manual_seed(self.seed + self.epoch)
        drawn = torch.multinomial(self.weights, self.total_size, replacement=True, generator=source)
        return iter(drawn[self.rank :: self.num_replicas].tolist())


class MixtureSampler(Sampler[int]):
    """Gives the images of an epoch of a mixture; each process of several gets its own share of the same length.

    Args:
        dataset: `MixedXrayDataset` to draw from.
        rank: Of this process.
        ranks: Number of processes.
    """

    def __init__(self, dataset: Any, *, rank: int = 0, ranks: int = 1) -> None:
        self.mixture = dataset.mixture
        self.rank, self.ranks, self.number = rank, ranks, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next pass gives."""
        self.number = epoch

    def __len__(self) -> int:
        return len(self.mixture) // self.ranks

    def __iter__(self) -> Iterator[int]:
        order = self.mixture.epoch(self.number)[self.rank :: self.ranks][: len(self)]
        return iter(order.tolist())


def xray_loader(
    dataset: Any, batch_size: Any, *, balance: str = "none", seed: Any = 0, workers: Any = 0
) -> DataLoader[Any]:
    """Give batches in an order that depends on the seed and the epoch alone; an incomplete last batch is left out.

    Under several processes each gets its own share.

    Args:
        dataset: `XrayDataset`, `MixedXrayDataset`, `LabelledXrays`, or any other data set that has a length.
        batch_size: Films in a batch, for each process.
        balance: Of the classes: "none", "weights" (of the loss, see `ClassLoss`) or "sampling".
        seed: Of the order; a mixture has its own.
        workers: Processes that read.

    Raises:
        ConfigurationError: A batch larger than the data set or the epoch of a mixture; an unknown balance; a generator
            that would learn from generated images.
    """
    if getattr(dataset, "generated", 0):
        raise ConfigurationError(
            f"{dataset.generated} generated images", "accept_synthetic", "generators learn from real films alone"
        )
    size, mixed = parse_count(batch_size, "batch_size"), getattr(dataset, "films", dataset)
    epoch, what = len(dataset), "the data set"
    if hasattr(mixed, "mixture"):
        epoch, what = len(mixed.mixture), "an epoch"
    if size * idist.get_world_size() > epoch:
        raise ConfigurationError(f"batch of {size} is larger than {what} of {epoch} images", "batch_size", "lower it")
    return DataLoader(
        dataset,
        batch_size=size,
        sampler=_sampler(dataset, mixed, balance, int(seed)),
        drop_last=True,
        generator=torch.Generator().manual_seed(int(seed)),
        num_workers=parse_count(workers, "workers", least=0),
    )


def _sampler(dataset: Any, mixed: Any, balance: str, seed: int) -> Sampler[int]:
    if balance not in BALANCES:
        raise ConfigurationError(f"unknown balance {balance!r}", "balance", ", ".join(BALANCES))
    ranks, rank, is_mixture = idist.get_world_size(), idist.get_rank(), hasattr(mixed, "mixture")
    if balance != "sampling":
        whole: DistributedSampler[Any] = DistributedSampler(dataset, num_replicas=ranks, rank=rank, seed=seed)
        return MixtureSampler(mixed, rank=rank, ranks=ranks) if is_mixture else whole
    if is_mixture or getattr(dataset, "multi_label", True):
        raise ConfigurationError("sampling needs real films of one class each", "balance", "use weights")
    return BalancedSampler(dataset, seed=seed)


def validation_loader(dataset: Dataset[Any], batch_size: Any) -> DataLoader[Any]:
    """Give all films once, in their order."""
    return DataLoader(dataset, batch_size=parse_count(batch_size, "batch_size"))
