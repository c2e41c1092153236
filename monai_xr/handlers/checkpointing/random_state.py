"""All random generators of a training, as plain tensors and numbers that a checkpoint may hold."""

import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform
from torch.utils.data import Dataset

from monai_xr.handlers.protocols import Trained

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RandomState:
    """The random generators beside those of torch, CUDA, numpy and Python, and what is done with all of them.

    Attributes:
        sources: Torch generators by name.
        transforms: MONAI's random transforms by name.
    """

    sources: Mapping[str, torch.Generator] = field(default_factory=dict)
    transforms: Mapping[str, Randomizable] = field(default_factory=dict)

    @classmethod
    def of(cls, engine: Trained) -> "RandomState":
        """Find those of an engine, of its loader and in the transforms of its data set."""
        loader = engine.data_loader
        owners = {"loader": loader, "sampler": getattr(loader, "sampler", None)}
        drawing = {name: getattr(owner, "generator", None) for name, owner in owners.items()}
        found = {name: source for name, source in drawing.items() if isinstance(source, torch.Generator)}
        return cls({**engine.random_sources(), **found}, random_transforms(getattr(loader, "dataset", None)))

    def capture(self) -> dict[str, Any]:
        """Take the state of all."""
        return {
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "numpy": _as_plain(np.random.get_state()),
            "python": random.getstate(),
            "sources": {name: source.get_state() for name, source in self.sources.items()},
            "transforms": {name: _as_plain(one.R.get_state()) for name, one in self.transforms.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what `capture` took; a generator that it did not know, or of another device, is left as it is."""
        torch.set_rng_state(state["torch"])
        if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])
        np.random.set_state(_as_numpy(state["numpy"]))
        version, words, gauss_next = state["python"]
        random.setstate((version, tuple(words), gauss_next))
        for name, source in self.sources.items():
            saved = state["sources"].get(name)
            if saved is not None and saved.shape == source.get_state().shape:
                source.set_state(saved)
            else:
                logger.warning("random numbers of %s begin anew: the checkpoint has none of this device", name)
        for name, saved in state.get("transforms", {}).items():
            if name in self.transforms:
                self.transforms[name].R.set_state(_as_numpy(saved))

    def reseed(self, shift: int) -> None:
        """Begin anew, `shift` beside the seeds that the process started with."""
        seed = (torch.initial_seed() + shift) % 2**32
        for source in self.sources.values():
            source.manual_seed(source.initial_seed() + shift)
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        for one in self.transforms.values():
            one.set_random_state(seed)


def random_transforms(thing: Any, name: str = "dataset") -> dict[str, Randomizable]:
    """Find the random transforms in a data set, by the path of attributes that leads to them."""
    found: dict[str, Randomizable] = {}
    seen: set[int] = set()

    def look(thing: Any, name: str) -> None:
        if isinstance(thing, list | tuple):
            children: Mapping[Any, Any] = dict(enumerate(thing))
        elif isinstance(thing, Dataset | Transform | Randomizable):
            children = vars(thing)
        else:
            return
        if id(thing) in seen:
            return
        seen.add(id(thing))
        if isinstance(thing, Randomizable):
            found[name] = thing
        for key, child in children.items():
            look(child, f"{name}.{key}")

    look(thing, name)
    return found


def _as_plain(state: Any) -> tuple[Any, ...]:
    kind, key, position, has_gauss, gauss = state
    return str(kind), torch.from_numpy(np.asarray(key, np.int64)), int(position), int(has_gauss), float(gauss)


def _as_numpy(state: tuple[Any, ...]) -> tuple[Any, ...]:
    kind, key, position, has_gauss, gauss = state
    return kind, key.numpy().astype(np.uint32), position, has_gauss, gauss
