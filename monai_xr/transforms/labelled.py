"""Films of one split in, items with a target for every class out, and the loaders over them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite import distributed as idist
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from monai_xr.data.records import Record, canonical_split
from monai_xr.data.trained_on import TrainedOn
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.settings import parse_count, parse_flag, parse_names
from monai_xr.transforms.dataset import XrayDataset, xray_loader
from monai_xr.transforms.mixed_dataset import MixedXrayDataset, mixed_loader

BALANCES = ("none", "weights", "sampling")


class LabelledXrays(Dataset[dict[str, Any]]):
    """Items `{"image": (1, S, S) in [-1, 1], "target": (C,), "index": i}`; a target of NaN is unknown.

    Args:
        films: The images, with generated ones among them or not.
        classes: What the targets stand for, in order; None takes the labels that occur.
        multi_label: Whether a film may have several findings, which are then read from what the data set knows to be
            present and absent; else the one label of a film is its class.

    Raises:
        InputDataError: A label outside `classes`, or a class without film.
    """

    def __init__(self, films: XrayDataset | MixedXrayDataset, classes: Any = None, *, multi_label: Any = False) -> None:
        self.films = films
        self.real = films.real if isinstance(films, MixedXrayDataset) else films
        self.multi_label = parse_flag(multi_label, "multi_label")
        records = list(self.real.cache.records)
        self.patients = _patients(records)
        if isinstance(films, MixedXrayDataset):
            records += list(films.mixture.generated.records)
        self.records = records
        occurring = {name for r in records for name in (r.present if self.multi_label else [r.label]) if name}
        self.classes = tuple(parse_names(classes) or sorted(occurring))
        self.targets = torch.tensor([self._target(record) for record in records])  # (N, C)
        self._check(occurring)

    def _target(self, record: Record) -> list[float]:
        if not self.multi_label:
            return [float(record.label == name) for name in self.classes]
        known = dict.fromkeys(record.absent, 0.0) | dict.fromkeys(record.present, 1.0)
        return [known.get(name, float("nan")) for name in self.classes]

    def _check(self, occurring: set[str]) -> None:
        root, split = self.real.source.root, self.real.source.split_used or "data"
        if not self.multi_label and (outside := sorted(occurring - set(self.classes))):
            raise InputDataError(
                f"label {outside[0]} in {split} is none of {', '.join(self.classes)}", root, "name it in `classes`"
            )
        if not self.multi_label and (bare := sum(not record.label for record in self.records)):
            raise InputDataError(f"{bare} images in {split} without label", root, "add them to labels.csv")
        missing = [name for name, found in zip(self.classes, (self.targets == 1).any(0), strict=True) if not found]
        if missing or (len(self.classes) == 1 and not self.multi_label):
            what = f"no film of {', '.join(missing)}" if missing else f"one class only, {self.classes[0]},"
            raise InputDataError(f"{what} in {split}", root, "a classifier needs films of every class in every split")

    def __len__(self) -> int:
        return len(self.films)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": self.films[index]["image"], "target": self.targets[index], "index": index}

    @property
    def trained_on(self) -> TrainedOn:
        """Who a training with these films knows; with generated ones, whom their generators knew, too."""
        return self.films.trained_on

    @property
    def summary(self) -> dict[str, Any]:
        """What was used, without any path or patient: for the run's record."""
        present = (self.targets == 1).sum(0).tolist()
        return {**self.films.summary, "images_per_class": dict(zip(self.classes, present, strict=True))}

    def balanced_weights(self) -> Tensor:
        """Give a weight a class, (C,): N / (C n) for one class a film, absent over present films for findings."""
        present = (self.targets == 1).sum(0).double()
        if self.multi_label:
            return ((self.targets == 0).sum(0).double() / present).float()
        return (len(self.targets) / (len(self.classes) * present)).float()


def _patients(records: Sequence[Record]) -> tuple[str, ...]:
    """Give the unit that a film shares with others: patient, else group, else the film itself."""
    return tuple(r.patient_id or r.group_id or f"film {place}" for place, r in enumerate(records))


def labelled_films(
    dataset_dir: str | Path,
    *,
    split: str | None,
    image_size: int,
    cache_dir: str | Path,
    select: Any = None,
    classes: Any = None,
    multi_label: Any = False,
    aiin: Any = None,
    accept_phantoms: Any = False,
    accept_synthetic: Any = False,
    no_patients: Any = False,
) -> LabelledXrays:
    """Give the films of one split with their targets; see `XrayDataset` and `LabelledXrays`.

    Films of other labels than `select` are left out; with several findings a film, `select` names the findings instead.
    `classes` is what the targets stand for, where that is known already. `accept_synthetic` lets generated images into
    the split train alone.
    """
    several = parse_flag(multi_label, "multi_label")
    for_training = canonical_split(split or "") == "train"
    films = XrayDataset(
        dataset_dir,
        split=split,
        classes=None if several else select,
        image_size=image_size,
        cache_dir=cache_dir,
        aiin=aiin,
        accept_phantoms=accept_phantoms,
        no_patients=no_patients,
        accept_synthetic=parse_flag(accept_synthetic, "accept_synthetic") and for_training,
    )
    return LabelledXrays(films, classes or select, multi_label=several)


class BalancedSampler(DistributedSampler[Any]):
    """Draws films with replacement so that every class comes equally often; the epoch and the seed decide the draws.

    Args:
        dataset: Films of one class each.
        seed: Of the draws.
    """

    def __init__(self, dataset: LabelledXrays, *, seed: int) -> None:
        super().__init__(dataset, num_replicas=idist.get_world_size(), rank=idist.get_rank(), seed=seed)
        self.weights = dataset.targets @ dataset.balanced_weights()

    def __iter__(self) -> Iterator[int]:
        source = torch.Generator().manual_seed(self.seed + self.epoch)
        drawn = torch.multinomial(self.weights, self.total_size, replacement=True, generator=source)
        return iter(drawn[self.rank :: self.num_replicas].tolist())


def training_loader(
    dataset: LabelledXrays, batch_size: Any, *, balance: str = "none", seed: Any = 0, workers: Any = 0
) -> DataLoader[Any]:
    """Give batches in an order that depends on the seed and the epoch alone; an incomplete last batch is left out.

    Args:
        dataset: What to draw from.
        batch_size: Films in a batch.
        balance: "none", "weights" (of the loss, see `ClassLoss`) or "sampling".
        seed: Of the order.
        workers: Processes that read.

    Raises:
        ConfigurationError: A batch larger than the data set or the epoch of a mixture, or an unknown balance.
    """
    if balance not in BALANCES:
        raise ConfigurationError(f"unknown balance {balance!r}", "balance", ", ".join(BALANCES))
    if balance == "sampling" and (dataset.multi_label or isinstance(dataset.films, MixedXrayDataset)):
        raise ConfigurationError("sampling needs real films of one class each", "balance", "use weights")
    if isinstance(dataset.films, MixedXrayDataset):
        return mixed_loader(dataset.films, batch_size, workers=workers, items=dataset)
    loader = xray_loader(dataset, batch_size, seed=seed, workers=workers)
    if balance != "sampling":
        return loader
    sampler = BalancedSampler(dataset, seed=int(seed))
    return DataLoader(
        dataset, batch_size=loader.batch_size, sampler=sampler, drop_last=True, num_workers=loader.num_workers
    )


def validation_loader(dataset: LabelledXrays, batch_size: Any) -> DataLoader[Any]:
    """Give all films once, in their order."""
    return DataLoader(dataset, batch_size=parse_count(batch_size, "batch_size"))
