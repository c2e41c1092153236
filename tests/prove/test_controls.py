"""How often each verdict comes for sets whose quality is known: 4 times each, 100 in `make prove`."""

import os
from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from monai_xr.metrics import FeatureSpace
from monai_xr.workflows.judging_images.evaluation import evaluate_sets

TIMES = int(os.environ.get("MONAI_XR_CONTROLS", "4"))
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


def films(draw: np.random.Generator, *, modes: int = MODES) -> tuple[Tensor, list[str]]:
    """Films of some patients: one of the modes, what is the patient's own, and a little of each film."""
    mode = torch.from_numpy(draw.integers(0, modes, PATIENTS).repeat(FILMS))
    own = torch.from_numpy(draw.normal(size=(PATIENTS, 5)).repeat(FILMS, 0) + 0.4 * draw.normal(size=(COUNT, 5)))
    images = 0.5 + 0.18 * CENTRES[mode] + 0.07 * torch.einsum("nk,kchw->nchw", own.float(), OWN)
    noise = 0.02 * torch.from_numpy(draw.normal(size=images.shape)).float()
    return (images + noise).clamp(0, 1), [str(number) for number in np.arange(PATIENTS).repeat(FILMS)]


def candidate(control: str, draw: np.random.Generator, training: Tensor) -> tuple[Tensor, list[str] | None]:
    if control == "other real films":
        return films(draw)
    others, _ = films(draw, modes=MODES // 2 if control == "half the modes" else MODES)
    sets = {
        "half the modes": others,
        "ten films repeated": others[::12][:10].repeat(COUNT // 10, 1, 1, 1),
        "noise": torch.from_numpy(draw.random(training.shape)).float(),
        "replay of training films": (training + 0.02 * torch.from_numpy(draw.normal(size=training.shape)).float()),
    }
    return sets[control].clamp(0, 1), None


def verdicts(control: str) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    space = FeatureSpace("light", Light())
    for seed in range(TIMES):
        draw = np.random.default_rng(seed)
        (training, of_training), (held_out, of_held_out) = films(draw), films(draw)
        images, patients = candidate(control, draw, training)
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
        found[measures.headline, measures.finding] += 1
    print(f"{control}: " + ", ".join(f"{words} {count}" for (words, _), count in found.most_common()))  # noqa: T201
    return found


def test_real_films_of_other_patients_are_called_bad_at_most_once_in_20() -> None:
    found = verdicts("other real films")
    assert sum(count for (_, finding), count in found.items() if finding == "bad") <= max(1, TIMES // 20)


@pytest.mark.parametrize(
    ("control", "called"),
    [
        (
            "half the modes",
            {"Collapse", "A part of the real images is missing", "Part missing, and too near to training"},
        ),
        ("ten films repeated", {"Collapse"}),
        ("noise", {"Far from the real images", "Unlike the real images"}),
        ("replay of training films", {"Too near to training images"}),
    ],
)
def test_bad_sets_are_always_called_what_they_are(control: str, called: set[str]) -> None:
    assert {words for words, _ in verdicts(control)} <= called
