"""Makes sets of images whose quality is known beforehand, best first, from films of three splits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2, vq
from torch import Tensor

from monai_xr.data import find_records
from monai_xr.errors import InputDataError
from monai_xr.transforms import make_aiin
from monai_xr.workflows.judging_images.image_sets import ImageSet, load_image_set

REPEATED = 10
_GROUPS, _THUMBNAIL = 8, 8
_NOISE = 0.03  # of the range, in a replay


@dataclass(frozen=True)
class KnownSet:
    """Images that stand for a generator's.

    Args:
        name: What was done.
        images: (M, 1, H, W) in [0, 1].
        patients: Of each, where they are films of other patients.
    """

    name: str
    images: Tensor
    patients: Sequence[str] | None = None


@dataclass(frozen=True)
class KnownSets:
    """What sets are compared with, and sets of equally many images.

    Args:
        real: Training films of a class.
        held_out: Others of that class, of other patients.
        ordered: Sets, each worse than the one before it.
        half: Films of other patients of that class, of half of the groups that its films fall into.
        units: Whose films are judged, see `monai_xr.data.trained_on.units_in`.
    """

    real: ImageSet
    held_out: ImageSet
    ordered: tuple[KnownSet, ...]
    half: KnownSet
    units: frozenset[str]


@dataclass(frozen=True)
class KnownFilms:
    """Real films of three splits, drawn without replacement, with their patients.

    Args:
        real: Training films of a class.
        held_out: Of the split val.
        test: Of the split test.
        other: Of another class, of the split test.
        other_label: That class.
    """

    real: ImageSet
    held_out: ImageSet
    test: ImageSet
    other: ImageSet
    other_label: str

    def ordered(self, least: int, aiin: Any, *, draw: np.random.Generator, seed: int) -> tuple[KnownSet, ...]:
        """Make sets of `least` images, each worse than the one before it; `aiin` is as in `make_aiin`."""
        first, whose = slice(least), (self.test.patients or ())[:least]
        images, again = self.test.pixels[first], self.test.pixels[:REPEATED].repeat(-(-least // REPEATED), 1, 1, 1)
        normalise = make_aiin(aiin)
        normalised = self.test.some(np.arange(least)).mapped(normalise).pixels if normalise else images
        return (
            KnownSet("films of other patients", images, whose),
            KnownSet("training films with noise", noisy(self.real.pixels[first], seed)),
            KnownSet("the same by AIIN", normalised, whose),
            KnownSet(f"films of {self.other_label}", self.other.pixels[first], (self.other.patients or ())[first]),
            KnownSet(f"{REPEATED} films repeated", again[first]),
            KnownSet("8-bit noise", torch.from_numpy(draw.integers(256, size=images.shape) / np.float32(255))),
        )


def known_films(
    dataset_dir: str | Path,
    draw: np.random.Generator,
    *,
    cache_dir: str | Path,
    label: str | None,
    other_label: str | None,
    image_size: int,
    count: int,
    accept_phantoms: bool = False,
) -> KnownFilms:
    """Draw the films; the arguments are those of `known_sets`.

    Raises:
        InputDataError: One class only, a split without films, or films without patients.
    """
    admit = ("patient", "phantom") if accept_phantoms else ("patient",)

    def films(name: str, split: str) -> ImageSet:
        records = find_records(dataset_dir, classes=[name], split=split)
        found = load_image_set(records, name=name, image_size=image_size, admit=admit, cache_dir=Path(cache_dir))
        if found.patients is None:
            raise InputDataError("films without patients", dataset_dir, "name a data set with patients")
        return found.some(draw.permutation(len(found.labels))[:count])

    label, other_label = _two_classes(dataset_dir, label, other_label)
    real, held_out, test = (films(label, split) for split in ("train", "val", "test"))
    return KnownFilms(real, held_out, test, films(other_label, "test"), other_label)


def known_sets(
    dataset_dir: str | Path,
    *,
    cache_dir: str | Path,
    label: str | None = None,
    other_label: str | None = None,
    image_size: int = 64,
    count: int = 1000,
    accept_phantoms: bool = False,
    seed: int = 0,
) -> KnownSets:
    """Make sets from films of the splits train (the reference), val (other real films) and test (what is judged).

    Args:
        dataset_dir: Real films with patients.
        cache_dir: Holds decoded pixels.
        label: Class of the reference; None takes that of most training films.
        other_label: Another class; None takes that of most others.
        image_size: Pixels on a side.
        count: Most films in a set.
        accept_phantoms: Whether phantoms count as real.
        seed: Of draws and noise.
    """
    draw = np.random.default_rng(seed)
    chosen = {"label": label, "other_label": other_label, "accept_phantoms": accept_phantoms}
    drawn: dict[str, Any] = {"cache_dir": cache_dir, "image_size": image_size, "count": count, **chosen}
    films = known_films(dataset_dir, draw, **drawn)
    half = films.test.some(in_half_of_the_groups(films.real.pixels, films.test.pixels, seed=seed))
    least = min(len(each.labels) for each in (films.held_out, films.test, films.other, half))
    missing = KnownSet("half of the groups", half.pixels[:least], (half.patients or ())[:least])
    units = films.held_out.units | films.test.units | films.other.units
    ordered = films.ordered(least, "opencv", draw=draw, seed=seed)
    return KnownSets(films.real, films.held_out, ordered, missing, units)


def _two_classes(folder: str | Path, label: str | None, other_label: str | None) -> tuple[str, str]:
    """Fill in what was not named: the classes of most training films."""
    found = [record.label for record in find_records(folder, split="train")]
    names = sorted(set(found), key=lambda name: (-found.count(name), name))
    chosen = label or names[0]
    others = [name for name in names if name != chosen]
    if not other_label and not others:
        raise InputDataError("films of one class only", folder, "name a data set of two classes")
    return chosen, other_label or others[0]


def in_half_of_the_groups(real: Tensor, films: Tensor, *, seed: int) -> NDArray[np.int64]:
    """Give the places of films that fall into half of the groups of real ones, every other one by size.

    Groups are of thumbnails without brightness and contrast, so no feature space has a part in them.

    Args:
        real: (N, 1, H, W) in [0, 1].
        films: (M, 1, H, W).
        seed: Of the groups.
    """
    ours, theirs = _thumbnails(real), _thumbnails(films)
    centres, group_of = kmeans2(ours, min(_GROUPS, len(ours)), minit="++", rng=seed)
    by_size = np.argsort(-np.bincount(group_of, minlength=len(centres)), kind="stable")
    return np.flatnonzero(np.isin(vq(theirs, centres)[0], by_size[::2]))


def _thumbnails(images: Tensor) -> NDArray[np.float64]:
    small = F.adaptive_avg_pool2d(images, _THUMBNAIL).flatten(1).double()
    away = small - small.mean(1, keepdim=True)
    normal: NDArray[np.float64] = (away / away.std(1, keepdim=True).clamp(min=1e-6)).numpy()
    return normal


def noisy(images: Tensor, seed: int) -> Tensor:
    """Give images with a little normal noise."""
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    return (images + _NOISE * noise).clamp(0, 1)
