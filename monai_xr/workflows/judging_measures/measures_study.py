"""Writes a table of what each measure says about sets whose quality is known beforehand.

A measure that one can trust puts these sets in the order in which a person would: other films of the class first, then
films of another class, then collapse and noise.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from monai_xr.data.files.output import write_text
from monai_xr.data.files.tables import markdown_row
from monai_xr.metrics import batchwise_frechet_distance, random_space
from monai_xr.metrics.measures import Measure, Measures, number_text
from monai_xr.workflows.judging_images.evaluate_sets import evaluate_sets
from monai_xr.workflows.judging_measures.known_sets import KnownFilms, KnownSet, known_films

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

    Arguments are as in `known_sets`; `aiin` normalises one of the sets, see `make_aiin`.
    """
    draw = np.random.default_rng(seed)
    films = known_films(
        dataset_dir,
        draw,
        cache_dir=cache_dir,
        label=label,
        other_label=other_label,
        image_size=int(image_size),
        count=count,
    )
    least = min(len(each.labels) for each in (films.held_out, films.test, films.other))
    sets = films.ordered(least, aiin, draw=draw, seed=seed)
    found = {each.name: _judged(each, films, seed) for each in sets}
    batchwise = _batchwise(films.real.pixels, films.held_out.pixels, {each.name: each.images for each in sets})
    counts = f"{len(films.real.labels)} training and {len(films.held_out.labels)} held-out films of {label}"
    write_text(Path(output), _page(found, batchwise, f"{counts}, {least} in each set, {image_size} px, seed {seed}"))
    return Path(output)


def _judged(judged: KnownSet, films: KnownFilms, seed: int) -> Measures:
    return evaluate_sets(
        films.real.pixels,
        judged.images,
        floor=films.held_out.pixels,
        patients=films.real.patients,
        floor_patients=films.held_out.patients,
        synthetic_patients=judged.patients,
        seed=seed,
    )


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
        markdown_row(head),
        markdown_row(["---"] * len(head)),
        *(markdown_row([name, _baseline(rows[0][name]), *(_cell(each.get(name)) for each in rows)]) for name in names),
        markdown_row(["fid_batchwise (20 at a time)", *(number_text(batchwise[name]) for name in ("", *found))]),
        markdown_row(["verdict", "", *(measures.headline for measures in found.values())]),
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
