"""Writes a table of how each feature space orders sets whose quality is known beforehand."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from monai_xr.data.files.output import write_text
from monai_xr.data.files.tables import markdown_row
from monai_xr.metrics import FeatureSpace
from monai_xr.metrics.measures import Measure
from monai_xr.runs.provenance import commit, machine
from monai_xr.settings import parse_count, parse_flag
from monai_xr.workflows.feature_spaces import space_of
from monai_xr.workflows.judging_images.measuring import Patients, space_rows
from monai_xr.workflows.judging_measures.known_sets import KnownSet, KnownSets, known_sets

_SHOWN = {"_over_floor": "distance over real-to-real", "recall_": "recall", "coverage_": "coverage"}


@dataclass(frozen=True)
class Order:
    """What a space says of the known sets.

    Args:
        space: Its name.
        rows: The shown measures of each set, by the name of the set.
        seconds: What it took.
    """

    space: str
    rows: Mapping[str, tuple[Measure, ...]]
    seconds: float

    def distance(self, name: str) -> float:
        """Give the distance of a set over that of other real films."""
        value = self.rows[name][0].value
        return float("nan") if value is None else value

    def wrong(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """Give each pair of sets that should come in this order and does not."""
        pairs = ((names[i], names[j]) for i in range(len(names)) for j in range(i + 1, len(names)))
        return [(near, far) for near, far in pairs if not self.distance(near) < self.distance(far)]

    def tells(self, name: str) -> list[str]:
        """Give the measures that tell a set from other real films: its distance, or recall or coverage below theirs."""
        distance, *shares = self.rows[name]
        farther = distance.interval is not None and distance.interval[0] > 1
        told = [said for said, row in zip(list(_SHOWN.values())[1:], shares, strict=True) if row.finding == "bad"]
        return [*(["distance"] if farther else []), *told]


def order_known_sets(
    dataset_dir: str | Path,
    output: str | Path,
    *,
    spaces: Sequence[str],
    cache_dir: str | Path,
    label: str | None = None,
    other_label: str | None = None,
    image_size: int = 64,
    count: int = 1000,
    seed: int = 0,
    device: str | torch.device = "cpu",
    accept_phantoms: bool = False,
) -> tuple[Order, ...]:
    """Write how each space orders sets of known quality: distance, recall and coverage of each, with what is wrong.

    Arguments are as in `known_sets`; `spaces` are as in `space_of`, whose features are computed on `device`.

    Raises:
        InputDataError: Data without such sets, or films to judge by that a space was trained on.
        ModelError: A space whose weights are missing.
    """
    made = [space_of(name, device=device) for name in spaces]
    sets = known_sets(
        dataset_dir,
        cache_dir=cache_dir,
        label=label,
        other_label=other_label,
        image_size=parse_count(image_size, "image_size"),
        count=parse_count(count, "count"),
        accept_phantoms=parse_flag(accept_phantoms, "accept_phantoms"),
        seed=parse_count(seed, "seed", least=0),
    )
    for space in made:
        space.check_unknown(sets.units, where=dataset_dir)
    orders = tuple(_order(sets, space, seed) for space in made)
    sizes = f"{len(sets.real.labels)} training, {len(sets.held_out.labels)} other real films, {len(sets.half.images)}"
    facts = f"{sizes} in each set, {image_size} px, seed {seed}; {machine()}, commit {commit()}."
    write_text(Path(output), page_of(orders, [each.name for each in sets.ordered], sets.half.name, facts))
    return orders


def _order(sets: KnownSets, space: FeatureSpace, seed: int) -> Order:
    begun = time.monotonic()
    real, held_out = space(sets.real.pixels), space(sets.held_out.pixels)
    rows = {}
    for each in (*sets.ordered, sets.half):
        features = {"real": real, "held-out": held_out, "synthetic": space(each.images)}
        rows[each.name] = _shown(space_rows(features, _whose(sets, each), space.name, seed=seed))
    return Order(space.name, rows, time.monotonic() - begun)


def _whose(sets: KnownSets, judged: KnownSet) -> Patients:
    return {"real": sets.real.patients, "held-out": sets.held_out.patients, "synthetic": judged.patients}


def _shown(rows: Sequence[Measure]) -> tuple[Measure, ...]:
    return tuple(next(row for row in rows if part in row.name) for part in _SHOWN)


def page_of(orders: Sequence[Order], names: Sequence[str], half: str, facts: str) -> str:
    """Write the table: one line a set, one column a measure of a space, and what each space gets wrong."""
    head = ["set", *(f"{said}, {order.space}" for said in _SHOWN.values() for order in orders)]
    lines = [
        "# How feature spaces order sets of known quality",
        "",
        f"{facts} Value and 95 % interval; **below real** where recall or coverage is, by more than 0.05.",
        "",
        markdown_row(head),
        markdown_row(["---"] * len(head)),
        *(
            markdown_row([name, *(_cell(order.rows[name][place]) for place in range(len(_SHOWN)) for order in orders)])
            for name in (*names, half)
        ),
        "",
        "The sets stand in the order in which a person would put them, but for the last one.",
        "",
        *(f"- {_said(order, names, half)}" for order in orders),
    ]
    return "\n".join(lines) + "\n"


def _cell(row: Measure) -> str:
    if row.value is None:
        return "undefined"
    interval = "" if row.interval is None else f" [{row.interval_text}]"
    return f"{row.value_text}{interval}{' **below real**' if row.finding == 'bad' and 'floor' not in row.name else ''}"


def _said(order: Order, names: Sequence[str], half: str) -> str:
    wrong = [f"{far} nearer than {near}" for near, far in order.wrong(names)]
    said = f"{len(wrong)} of {len(names) * (len(names) - 1) // 2} pairs out of order" if wrong else "all pairs in order"
    by = order.tells(half)
    seen = f"told by {' and '.join(by)}" if by else "not told from other real films"
    told = f" ({'; '.join(wrong)})" if wrong else ""
    return f"`{order.space}`: {said}{told}; {half} {seen}; {order.seconds:.0f} s."
