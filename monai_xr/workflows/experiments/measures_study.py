"""A folder of real films in; one table out of what each measure says about sets whose quality is known beforehand.

A measure that one can trust puts these sets in the order in which a person would: other films of the class first, then
films of another class, then collapse and noise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monai_xr.data import find_records
from monai_xr.data.files.output import write_text
from monai_xr.errors import InputDataError
from monai_xr.metrics import batchwise_frechet_distance, random_space
from monai_xr.metrics.measures import Measure, Measures, number_text
from monai_xr.transforms import make_aiin
from monai_xr.workflows.experiments.known_sets import REPEATED, noisy
from monai_xr.workflows.judging_images.evaluate_sets import evaluate_sets
from monai_xr.workflows.judging_images.image_sets import ImageSet, load_image_set

_SAME_FOR_ALL = ("kid_random_real", "kid_random_noise", "ms_ssim_real", "ms_ssim_held_out")


def compare_known_sets(
    dataset_dir: str | Path,
    output: str | Path,
    *,
    label: str,
    other_label: str,
    cache_dir: str | Path,
    image_size: int = 64,
    count: int = 1000,
    aiin: Any = "opencv",
    seed: int = 0,
) -> Path:
    """Write a table of all measures for real films, another class, AIIN, a replay, collapse and noise.

    The reference are films of the split "train", the floor those of "val"; "test" gives the other sets.

    Args:
        dataset_dir: Real films with patients and splits.
        output: The Markdown file.
        label: Class of the reference.
        other_label: Another class.
        cache_dir: Holds decoded pixels.
        image_size: Pixels on a side.
        count: Most films in a set.
        aiin: Normalisation of one of the sets, see `make_aiin`.
        seed: Of draws and noise.

    Raises:
        InputDataError: A split without films.
    """
    known = _known_sets(
        Films(dataset_dir, int(image_size), Path(cache_dir), count, np.random.default_rng(seed)),
        label,
        other_label,
        aiin,
        seed,
    )
    real, held_out = known.real, known.held_out
    found = {
        name: evaluate_sets(
            real.pixels,
            images,
            floor=held_out.pixels,
            patients=real.patients,
            floor_patients=held_out.patients,
            synthetic_patients=patients,
            seed=seed,
        )
        for name, (images, patients) in known.candidates.items()
    }
    batchwise = _batchwise(real.pixels, held_out.pixels, {name: each[0] for name, each in known.candidates.items()})
    least = len(next(iter(known.candidates.values()))[0])
    facts = f"{len(real.labels)} training and {len(held_out.labels)} held-out films of {label}, {least} in each set"
    write_text(Path(output), _page(found, batchwise, f"{facts}, {image_size} px, seed {seed}"))
    return Path(output)


Candidate = tuple[Tensor, Sequence[str] | None]


@dataclass(frozen=True)
class Films:
    """Where the films of the study come from.

    Args:
        dataset_dir: Real films with patients and splits.
        image_size: Pixels on a side.
        cache_dir: Holds decoded pixels.
        count: Most films in a set.
        draw: Of those films.
    """

    dataset_dir: str | Path
    image_size: int
    cache_dir: Path
    count: int
    draw: np.random.Generator

    def of(self, label: str, split: str) -> ImageSet:
        """Give films of a class and a split, drawn without replacement."""
        records = find_records(self.dataset_dir, classes=[label], split=split)
        found = load_image_set(
            records, name=label, image_size=self.image_size, admit=("patient",), cache_dir=self.cache_dir
        )
        if found.patients is None:
            raise InputDataError("films without patients", "study of measures", "name a data set with patients")
        return found.some(self.draw.permutation(len(found.labels))[: self.count])


@dataclass(frozen=True)
class _Known:
    """Training films, held-out ones, and sets whose quality is known, each with its patients where it has such."""

    real: ImageSet
    held_out: ImageSet
    candidates: dict[str, Candidate]


def _known_sets(films: Films, label: str, other_label: str, aiin: Any, seed: int) -> _Known:
    real, held_out, test = (films.of(label, split) for split in ("train", "val", "test"))
    others = films.of(other_label, "test")
    least = min(len(test.labels), len(others.labels), len(held_out.labels))

    def some(images: ImageSet) -> Candidate:
        return images.pixels[:least], (images.patients or ())[:least]

    noise = films.draw.integers(256, size=test.pixels[:least].shape) / np.float32(255)
    repeated = test.pixels[:REPEATED].repeat(-(-least // REPEATED), 1, 1, 1)[:least]
    return _Known(
        real,
        held_out,
        {
            "other films of the class": some(test),
            f"films of {other_label}": some(others),
            "AIIN of other films": some(_aiin(test, aiin)),
            "noisy replay of training films": (noisy(real.pixels[:least], seed), None),
            f"{REPEATED} films repeated": (repeated, None),
            "8-bit noise": (torch.from_numpy(noise), None),
        },
    )


def _aiin(found: ImageSet, setting: Any) -> ImageSet:
    transform = make_aiin(setting)
    return found.mapped(transform) if transform else found


def _batchwise(real: Tensor, held_out: Tensor, candidates: Mapping[str, Tensor]) -> dict[str, float]:
    """Give the batchwise distance of each set, and of the held-out films as None's name."""
    space = random_space()
    reference = space(real)
    sets = {"": held_out, **candidates}
    return {name: batchwise_frechet_distance(reference, space(images)) for name, images in sets.items()}


_READ = """Real films differ as well: a set that is more alike than the training films is collapsed by the paper's rule
(`ms_ssim_gap`). The verdict asks for more than halves of the held-out patients differ by, and for recall or coverage
below that of held-out films. The column of other real films has for the attack its zero, by halves of the training.

Earlier forms of this table called the first set collapsed, took 0.5 for the attack's zero, had intervals from 20 draws
of films, not of patients, and a Vendi score about 0, in which real films counted as 1.2 images."""


def _page(found: Mapping[str, Measures], batchwise: Mapping[str, float], facts: str) -> str:
    """Write the table: one line a measure, one column a set, and the verdict of each set."""
    rows = [{_plain(row.name): row for row in measures.rows} for measures in found.values()]
    names = [name for name in rows[0] if name not in _SAME_FOR_ALL]
    head = ["measure", "other real films", *found]
    lines = [
        "# What each measure says about sets whose quality is known",
        "",
        f"{facts}. Value and 95 % interval.",
        "",
        _line(head),
        _line(["---"] * len(head)),
        *(_line([name, _baseline(rows[0][name]), *(_cell(each.get(name)) for each in rows)]) for name in names),
        _line(["fid_batchwise (20 at a time)", *(number_text(batchwise[name]) for name in ("", *found))]),
        _line(["verdict", "", *(measures.headline for measures in found.values())]),
        "",
        _on_batches(found, batchwise),
        "",
        *_READ.splitlines(),
        "",
        "Made by `python -m monai.bundle run study --config_file configs/experiments/measures.yaml`.",
    ]
    return "\n".join(lines) + "\n"


def _on_batches(found: Mapping[str, Measures], batchwise: Mapping[str, float]) -> str:
    """Say what the batchwise distance makes of collapse, beside the distance of whole sets."""
    name = next(name for name in found if "repeated" in name)
    whole = next(row for row in found[name].rows if row.name.endswith("_over_floor"))
    times = batchwise[name] / batchwise[""]
    return (
        f"`fid_batchwise` is the AIIN paper's way. It puts {name} {times:.2g} times as far as other real films, where\n"
        f"whole sets give {whole.value_text} times: the mean of small batches hides collapse."
    )


def _plain(name: str) -> str:
    """Drop the count from a measure's name, which is the same for all sets."""
    return "_".join(part for part in name.split("_") if not part.rstrip("k").isdigit())


def _cell(row: Measure | None) -> str:
    if row is None or row.value is None:
        return "undefined"
    return row.value_text if row.interval is None else f"{row.value_text} [{row.interval_text}]"


def _baseline(row: Measure) -> str:
    return "" if row.baseline is None else row.baseline_text


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
