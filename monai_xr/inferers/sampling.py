"""Samples a generator from seeded latents, with classes or films where it wants them: `draw_samples`."""

from collections.abc import Sequence
from inspect import signature
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from monai_xr.errors import ConfigurationError
from monai_xr.networks import FinestImage, Generator
from monai_xr.settings import did_you_mean, parse_count, parse_names
from monai_xr.transforms import XrayDataset
from monai_xr.transforms.ranges import to_unit_range


class LatentDataset(Dataset[dict[str, Any]]):
    """Seeded standard normal latents, one item `{"image": (Z,), "index": i, "label": name}` per image to generate.

    Item i depends on the seed and i alone, so that more images can be generated later without changing the first. Its
    `noise_seed` is for generators that draw more than latents.

    Args:
        count: Images to generate.
        latent_size: Z.
        seed: Of the latents.
        conditions: What the generator is given beside latents, taken in turn, as `condition` of each item.
        labels: Names of the classes that the images stand for, taken in turn.
    """

    def __init__(
        self,
        count: int,
        latent_size: int,
        seed: int = 0,
        *,
        conditions: Sequence[Any] | None = None,
        labels: Sequence[str] = ("",),
    ) -> None:
        self.count = parse_count(count, "count")
        self.latent_size = latent_size
        self.seed = int(seed)
        self.conditions, self.labels = conditions, labels

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        # a stream for each pair of numbers; torch's own generator reads 32 bits of a seed alone
        drawn = np.random.Generator(np.random.Philox(key=((self.seed % (1 << 64)) << 64) + index))
        latents = torch.from_numpy(drawn.standard_normal(self.latent_size, np.float32))
        item = {"image": latents, "index": index, "noise_seed": int(drawn.integers(1 << 32))}
        item["label"] = self.labels[index % len(self.labels)]
        if self.conditions is not None:
            item["condition"] = self.conditions[index % len(self.conditions)]
        return item


def class_latents(
    count: int, latent_size: int, trained_classes: Sequence[str], *, classes: Any = None, seed: int = 0
) -> LatentDataset:
    """Latents for a generator that is told classes.

    Args:
        count: Images to generate, of each class in turn.
        latent_size: Z.
        trained_classes: Names in the order of the training's class indices; none where the films had no classes.
        classes: Those to generate; None takes all.
        seed: Of the latents.

    Raises:
        ConfigurationError: A class that was not trained.
    """
    wanted = parse_names(classes, trained_classes) or list(trained_classes)
    if unknown := [name for name in wanted if name not in trained_classes]:
        way_out = f"{did_you_mean(unknown[0], trained_classes)}trained: {', '.join(trained_classes)}"
        raise ConfigurationError(f"no such class {unknown[0]}", "classes", way_out)
    indices = [list(trained_classes).index(name) for name in wanted]
    return LatentDataset(count, latent_size, seed, conditions=indices or None, labels=wanted or [""])


def film_latents(count: int, latent_size: int, films: XrayDataset, *, seed: int = 0) -> LatentDataset:
    """Latents for a generator that makes a new image of a real one, each film with its class.

    Every film comes once before any comes again, in an order that the seed draws anew for each round: few images stand
    for all films, and more images can be generated later without changing the first.

    Raises:
        ConfigurationError: Films of another split than train: what is made of them would carry them into trainings.
    """
    if other := sorted({record.split for record in films.cache.records} - {"", "train"}):
        raise ConfigurationError(f"images made of films of the split {other[0]}", "split", "use the split train")
    count, records = parse_count(count, "count"), films.cache.records
    rounds = range(-(-count // len(records)))
    drawn = [np.random.default_rng([int(seed), each]).permutation(len(records)) for each in rounds]
    places = np.concatenate(drawn)[:count].tolist()
    labels = [records[place].label for place in places]
    return LatentDataset(count, latent_size, seed, conditions=_Images(films, places), labels=labels)


class _Images(Sequence[Tensor]):
    """The images alone of a data set, in a given order of places."""

    def __init__(self, films: Dataset[dict[str, Any]], places: Sequence[int]) -> None:
        self.films: Any = films
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        return self.films[self.places[index]]["image"]


def prepare_conditioned(
    batch: dict[str, Any], device: torch.device, non_blocking: bool = False, **kwargs: Any
) -> tuple[Tensor, None, tuple[Tensor, ...], dict[str, Any]]:
    """Split a batch of latents for a MONAI evaluator: input, no target, the condition where there is one, and seeds."""
    given = [batch[name].to(device, non_blocking=non_blocking) for name in ("image", "condition") if name in batch]
    return given[0], None, tuple(given[1:]), {"noise_seeds": batch["noise_seed"]} if "noise_seed" in batch else {}


class GeneratorInferer(Inferer):
    """Runs a generator on latents (B, Z) and a condition; gives its finest images (B, 1, H, W) in [0, 1].

    Of a `FinestImage` it runs the generator, whose other arguments those of `forward` may be.

    Args:
        settings: Arguments of the generator's `forward` beside these, as a truncation.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = settings

    @torch.no_grad()
    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Generate one batch in evaluation mode; `noise_seeds` go to the generators alone that take them.

        Raises:
            ConfigurationError: A setting that the generator does not take.
        """
        if isinstance(network, FinestImage):
            network = network.generator
            if not args and "condition" not in kwargs:
                kwargs["condition"] = network.usual_condition(inputs)
        taken = signature(network.forward).parameters
        if unknown := sorted(self.settings.keys() - taken):
            raise ConfigurationError(f"{type(network).__name__} takes no {unknown[0]}", "sample", "leave it out")
        given = {name: value for name, value in (self.settings | kwargs).items() if name in taken}
        was_training = network.training
        images = network.eval()(inputs, *args, **given)[-1]
        network.train(was_training)
        return to_unit_range(images.float()).clamp(0, 1)


def draw_samples(
    dataset: LatentDataset, network: Generator, device: torch.device, batch_size: int = 64, **settings: Any
) -> Tensor:
    """Generate all images of a data set of latents, (N, C, H, W) in [0, 1] on the CPU; see `GeneratorInferer`."""
    inferer, images = GeneratorInferer(**settings), []
    for batch in DataLoader(dataset, batch_size=batch_size, generator=torch.Generator()):
        latents, _, given, seeds = prepare_conditioned(batch, device)
        images.append(inferer(latents, network, *given, **seeds).cpu())
    return torch.cat(images)
