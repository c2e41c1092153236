"""Counts how often each verdict came for sets whose quality is known, as a table. Exit code 1 if one was wrong.

    python tests/prove/controls.py [--times 100] [--space light|own|exposed]

Real films of other patients may be called bad once in 20; bad sets must always be called what they are. The own space
is that of an encoder trained by the recipe of the bundle chest_xray_features on films of other patients again.

With `--space exposed` each film has an exposure of its own, and the random space and such an encoder look at the same
sets: half-removed modes are to be missed by the one and seen by the other.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from ignite.utils import manual_seed
from monai.bundle import ConfigParser
from torch import Tensor
from torch.utils.data import Dataset

from monai_xr.metrics import FeatureSpace, network_space, random_space
from monai_xr.workflows.judging_images.evaluate_sets import evaluate_sets

PATIENTS, FILMS, MODES, SIDE = 60, 2, 6, 16
COUNT = PATIENTS * FILMS


def smooth(count: int, seed: int, coarse: int = 4) -> Tensor:
    grid = torch.randn(count, 1, coarse, coarse, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(grid, (SIDE, SIDE), mode="bicubic")


CENTRES, OWN = smooth(MODES, 1), smooth(5, 2)


class Light(torch.nn.Module):
    """Sixteen projections of the image in 4 x 4 means, and how much it varies within them."""

    def __init__(self) -> None:
        super().__init__()
        weights = torch.randn(16, 16, generator=torch.Generator().manual_seed(3)) / 4
        self.weights = torch.nn.Parameter(weights, requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        means, squares = (torch.nn.functional.avg_pool2d(each, SIDE // 4).flatten(1) for each in (images, images**2))
        spread = (squares - means**2).clamp(min=0).sqrt()
        return torch.cat([means @ self.weights, spread.mean(1, keepdim=True)], 1)


def films(draw: np.random.Generator, *, modes: int = MODES, exposed: bool = False) -> tuple[Tensor, list[str]]:
    """Films of some patients: one of the modes, what is the patient's own, and a little of each film.

    Where they are `exposed`, the modes differ less, and brightness and contrast from film to film.
    """
    mode = torch.from_numpy(draw.integers(0, modes, PATIENTS).repeat(FILMS))
    own = torch.from_numpy(draw.normal(size=(PATIENTS, 5)).repeat(FILMS, 0) + 0.4 * draw.normal(size=(COUNT, 5)))
    apart = 0.12 if exposed else 0.18
    images = apart * CENTRES[mode] + 0.07 * torch.einsum("nk,kchw->nchw", own.float(), OWN)
    images = images + 0.02 * torch.from_numpy(draw.normal(size=images.shape)).float()
    if exposed:
        gain, brighter = torch.from_numpy(draw.normal(size=(2, COUNT, 1, 1, 1))).float()
        images = (0.4 * gain).exp() * images + 0.1 * brighter
    return (0.5 + images).clamp(0, 1), [str(number) for number in np.arange(PATIENTS).repeat(FILMS)]


def candidate(
    control: str, draw: np.random.Generator, training: Tensor, *, exposed: bool = False
) -> tuple[Tensor, list[str] | None]:
    if control == "other real films":
        return films(draw, exposed=exposed)
    others, _ = films(draw, modes=MODES // 2 if control == "half the modes" else MODES, exposed=exposed)
    sets = {
        "half the modes": others,
        "ten films repeated": others[::12][:10].repeat(COUNT // 10, 1, 1, 1),
        "noise": torch.from_numpy(draw.random(training.shape)).float(),
        "replay of training films": (training + 0.02 * torch.from_numpy(draw.normal(size=training.shape)).float()),
    }
    return sets[control].clamp(0, 1), None


class Learned(Dataset[dict[str, Any]]):
    """What an encoder learns from: films of 20 times as many patients as a control has."""

    def __init__(self, *, exposed: bool = False) -> None:
        draws = (np.random.default_rng(1_000_000 + number) for number in range(20))
        self.images = torch.cat([films(draw, exposed=exposed)[0] for draw in draws]) * 2 - 1

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": self.images[index], "label": 0}


def own_space(*, exposed: bool = False) -> FeatureSpace:
    """Train the bundle's encoder on such films."""
    parser = ConfigParser()
    parser.read_config(Path(__file__).parents[2] / "bundles" / "chest_xray_features" / "configs" / "train.yaml")
    for name, value in {"device": "cpu", "image_size": SIDE, "max_epochs": 20}.items():
        parser[name] = value
    parser["train::dataset"], parser["train::handlers"] = Learned(exposed=exposed), []
    manual_seed(0)
    trainer = parser.get_parsed_content("train::trainer")
    trainer.run()
    return network_space("own", trainer.network)


SPACES = {"light": lambda: FeatureSpace("light", Light()), "own": own_space}
CALLED = {
    "other real films": set(),
    "half the modes": {
        "Collapse",
        "A part of the real images is missing",
        "Part missing, and too near to training",
    },
    "ten films repeated": {"Collapse"},
    "noise": {"Far from the real images", "Unlike the real images"},
    "replay of training films": {"Too near to training images"},
}


@dataclass
class Found:
    """How often each headline came, how often it was bad, and how often each light was red."""

    control: str
    times: int
    headlines: Counter[str] = field(default_factory=Counter)
    bad: int = 0
    red: Counter[str] = field(default_factory=Counter)

    @property
    def holds(self) -> bool:
        if self.control == "other real films":
            return max(self.bad, *self.red.values(), 0) <= max(1, self.times // 20)
        return set(self.headlines) <= CALLED[self.control] and self.bad == self.times

    @property
    def missed(self) -> int:
        """How often it was not called what it is."""
        return self.times - sum(self.headlines[words] for words in CALLED[self.control])

    def line(self) -> str:
        words = ", ".join(f"{headline} {count}" for headline, count in self.headlines.most_common())
        red = ", ".join(f"{question} {count}" for question, count in self.red.most_common()) or "none"
        return f"| {self.control} | {words} | {red} | {'yes' if self.holds else 'NO'} |"


def verdicts(
    control: str, times: int, *, space: FeatureSpace | None = None, first: int = 0, exposed: bool = False
) -> Found:
    """Judge a control anew, as often as asked."""
    found = Found(control, times)
    space = space or SPACES["light"]()
    for seed in range(first, first + times):
        draw = np.random.default_rng(seed)
        (training, of_training), (held_out, of_held_out) = (films(draw, exposed=exposed) for _ in range(2))
        images, patients = candidate(control, draw, training, exposed=exposed)
        measures = evaluate_sets(
            training,
            images,
            floor=held_out,
            patients=of_training,
            floor_patients=of_held_out,
            synthetic_patients=patients,
            seed=seed,
            pairs=400,
            space=space,
        )
        found.headlines[measures.headline] += 1
        found.bad += measures.finding == "bad"
        found.red.update(light.question for light in measures.lights if light.finding == "bad")
    return found


def of_exposed_films(times: int, first: int) -> int:
    """Print what both spaces say of films with exposures of their own; 1 where it is not what it should be."""
    right = []
    for space in (random_space(), own_space(exposed=True)):
        for control in ("other real films", "half the modes"):
            found = verdicts(control, times, space=space, first=first, exposed=True)
            seen = times / 10 >= found.missed if space.name != "random" else times / 10 >= times - found.missed
            right.append(seen if control == "half the modes" else found.holds)
            print(found.line().replace("| ", f"| {space.name}: ", 1), flush=True)
    return 0 if all(right) else 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="seed of the first draw")
    parser.add_argument("--space", choices=(*SPACES, "exposed"), default="light")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(f"{given.times} draws of each set, {COUNT} films of {PATIENTS} patients a side, space {given.space}.\n")
    print("| set | verdicts | red lights | holds |\n| --- | --- | --- | --- |")
    if given.space == "exposed":
        return of_exposed_films(given.times, given.first)
    space, held = SPACES[given.space](), []
    for control in CALLED:
        found = verdicts(control, given.times, space=space, first=given.first)
        held.append(found.holds)
        print(found.line(), flush=True)
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
