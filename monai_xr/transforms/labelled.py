"""The data set of a classifier: the films of one split, each with a target for every class."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from monai_xr.data import Record
from monai_xr.data.records import canonical_split
from monai_xr.data.trained_on import TrainedOn
from monai_xr.errors import InputDataError
from monai_xr.settings import parse_flag, parse_names
from monai_xr.transforms.dataset import XrayDataset
from monai_xr.transforms.mixed_dataset import MixedXrayDataset


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
        self.patients = self.real.patients
        if isinstance(films, MixedXrayDataset):
            records += list(films.mixture.generated.records)
        self.records = records
        occurring = {name for r in records for name in (r.present if self.multi_label else [r.label]) if name}
        self.classes = tuple(parse_names(classes, occurring) or sorted(occurring))
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
        present = (self._targets_of_an_epoch() == 1).sum(0).tolist()
        return {**self.films.summary, "images_per_class": dict(zip(self.classes, present, strict=True))}

    def balanced_weights(self) -> Tensor:
        """Give a weight a class, (C,): N / (C n) for one class a film, absent over present films for findings."""
        targets = self._targets_of_an_epoch()
        present = (targets == 1).sum(0).double()
        if self.multi_label:
            return ((targets == 0).sum(0).double() / present).float()
        return (len(targets) / (len(self.classes) * present)).float()

    def _targets_of_an_epoch(self) -> Tensor:
        """Give as many targets of generated films as an epoch has."""
        films = self.films
        return self.targets[films.mixture.epoch(0)] if isinstance(films, MixedXrayDataset) else self.targets


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
    synthetic_dir: Any = None,
    synthetic_ratio: Any = 1.0,
    seed: Any = 0,
) -> LabelledXrays:
    """Give the films of one split with their targets; see `XrayDataset` and `LabelledXrays`.

    Films of other labels than `select` are left out; with several findings a film, `select` names the findings instead.
    `classes` is what the targets stand for, where that is known already. `accept_synthetic` lets generated images into
    the split train alone; those of `synthetic_dir` are mixed into it, see `MixedXrayDataset`.

    >>> labelled_films(films_dir, split=None, image_size=16, cache_dir=cache_dir)[3]["target"]
    tensor([0., 1.])
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
        findings=several,
    )
    if synthetic_dir in (None, "", "none", "None"):
        return LabelledXrays(films, classes or select, multi_label=several)
    mixed = MixedXrayDataset(films, synthetic_dir, cache_dir=cache_dir, ratio=synthetic_ratio, seed=seed)
    return LabelledXrays(mixed, classes or select, multi_label=several)
