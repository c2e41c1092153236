"""The data loader of trainings and evaluations: batches in a seeded order, balanced or mixed, or all films in order."""

import logging
from collections.abc import Iterator
from math import gcd
from typing import Any

import torch
from ignite import distributed as idist
from torch.utils.data import DataLoader, DistributedSampler, Sampler

from monai_xr.errors import ConfigurationError
from monai_xr.settings import parse_count
from monai_xr.transforms.dataset import XrayDataset
from monai_xr.transforms.labelled import LabelledXrays
from monai_xr.transforms.mixed_dataset import MixedXrayDataset

FEW = 50  # images of which nothing can be learned that holds for others
BALANCES = ("none", "weights", "sampling")
logger = logging.getLogger(__name__)
Films = XrayDataset | MixedXrayDataset | LabelledXrays


def xray_loader(
    dataset: Films, batch_size: Any, *, seed: Any = 0, workers: Any = 0, balance: str = "none", shuffle: bool = True
) -> DataLoader[Any]:
    """Give batches in an order that depends on the seed and the epoch alone; an incomplete last batch is left out.

    Under several processes each gets its own share. An epoch of a mixture is what the mixture says. A batch that is
    larger than an epoch becomes as large as the epoch, with a warning.

    Args:
        dataset: What to draw from.
        batch_size: Films in a batch.
        seed: Of the order.
        workers: Processes that read.
        balance: "none", "weights" (of the loss, see `ClassLoss`) or "sampling", which draws every class equally often.
        shuffle: Whether this is a training; else all films come once, in their order.

    Raises:
        ConfigurationError: More processes than images, a balance that the data set has not, generated images alone.

    >>> films = XrayDataset(films_dir, image_size=16, cache_dir=cache_dir, split=None)
    >>> [len(batch["image"]) for batch in xray_loader(films, 3)]
    [3]
    >>> [len(batch["image"]) for batch in xray_loader(films, 3, shuffle=False)]
    [3, 1]
    """
    size, processes = parse_count(batch_size, "batch_size"), parse_count(workers, "workers", least=0)
    if not shuffle:
        return DataLoader(dataset, batch_size=size, num_workers=processes)
    if isinstance(dataset, XrayDataset) and dataset.generated:
        raise ConfigurationError(
            f"{dataset.generated} generated images", "accept_synthetic", "generators learn from real films alone"
        )
    films = dataset.films if isinstance(dataset, LabelledXrays) else dataset
    images, what = len(dataset), "the data set"
    if isinstance(films, MixedXrayDataset):
        images, what = len(films.mixture), "an epoch"
    size = _fitting(size, images, what)
    drawn: dict[str, Any] = {"sampler": _sampler(dataset, films, balance, int(seed)), "drop_last": True}
    drawn["generator"] = torch.Generator().manual_seed(int(seed))
    return DataLoader(dataset, batch_size=size, num_workers=processes, **drawn)


def _fitting(size: int, images: int, what: str) -> int:
    """Give the size of a batch of which an epoch has one at least; say so where it is another, or images are few.

    What is a multiple of 2 or 4 stays one: statistics of a batch may be taken in groups of four.
    """
    processes = idist.get_world_size()
    if processes > images:
        raise ConfigurationError(f"{processes} processes for {images} images", "dataset_dir", "use fewer processes")
    if size * processes > images:
        fitting, group = images // processes, gcd(size, 4)
        fitting -= fitting % group if fitting >= group else 0
        logger.warning("%s has %d images: a batch is %d, not %d", what, images, fitting, size)
        size = fitting
    if images < FEW:
        logger.warning(
            "%d images are enough to see a training run, no more: a network learns them by heart, "
            "and no measure can tell that from success; take some hundreds a class",
            images,
        )
    return size


def _sampler(dataset: Films, films: XrayDataset | MixedXrayDataset, balance: str, seed: int) -> Sampler[int]:
    if balance not in BALANCES:
        raise ConfigurationError(f"unknown balance {balance!r}", "balance", ", ".join(BALANCES))
    share = {"num_replicas": idist.get_world_size(), "rank": idist.get_rank()}
    if balance == "sampling":
        if not isinstance(dataset, LabelledXrays) or dataset.multi_label or isinstance(films, MixedXrayDataset):
            raise ConfigurationError("sampling needs real films of one class each", "balance", "use weights")
        return BalancedSampler(dataset, seed=seed, **share)
    if isinstance(films, MixedXrayDataset):
        return MixtureSampler(films, seed=seed, **share)
    return DistributedSampler(dataset, seed=seed, **share)


class BalancedSampler(DistributedSampler[Any]):
    """Draws films with replacement so that every class comes equally often; the epoch and the seed decide the draws."""

    def __iter__(self) -> Iterator[int]:
        films: Any = self.dataset
        source = torch.Generator().manual_seed(self.seed + self.epoch)
        weights = films.targets @ films.balanced_weights()
        drawn = torch.multinomial(weights, self.total_size, replacement=True, generator=source)
        return iter(drawn[self.rank :: self.num_replicas].tolist())


class MixtureSampler(DistributedSampler[Any]):
    """Gives the images of an epoch of a mixture, whose own seed decides them; every process gets equally many."""

    def __len__(self) -> int:
        mixed: Any = self.dataset
        return len(mixed.mixture) // self.num_replicas

    def __iter__(self) -> Iterator[int]:
        mixed: Any = self.dataset
        order = mixed.mixture.epoch(self.epoch)[self.rank :: self.num_replicas][: len(self)]
        return iter(order.tolist())
