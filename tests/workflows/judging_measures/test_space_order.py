from pathlib import Path

import numpy as np
import pytest
import torch
from known_films import films, table

from monai_xr.errors import InputDataError
from monai_xr.metrics.measures import Measure
from monai_xr.workflows.judging_measures.known_sets import in_half_of_the_groups, known_sets
from monai_xr.workflows.judging_measures.space_order import Order, order_known_sets, page_of

NAMES = ("other patients", "replay", "noise")


def order(distances: tuple[float, float, float], *, sees: bool) -> Order:
    rows = {
        name: (
            Measure("fid_9_own_over_floor", "", value, (value, value + 1), 1.0),
            Measure("recall_9_own", "", 0.9, None, 0.9),
            Measure("coverage_9_own", "", 0.9, None, 0.9, finding="none"),
        )
        for name, value in zip(NAMES, distances, strict=True)
    }
    recall = Measure("recall_9_own", "", 0.4, (0.3, 0.5), 0.9, finding="bad" if sees else "none")
    return Order("own", {**rows, "half": (rows["noise"][0], recall, rows["noise"][2])}, 3.0)


def test_pairs_out_of_order_are_named_one_by_one() -> None:
    found = order((2.0, 1.0, 1.5), sees=False)
    assert found.wrong(NAMES) == [("other patients", "replay"), ("other patients", "noise")]
    assert order((1.0, 2.0, 3.0), sees=False).wrong(NAMES) == []
    page = page_of([found], NAMES, "half", "Facts.")
    assert "2 of 3 pairs out of order (replay nearer than other patients; noise nearer than other patients)" in page
    assert "half told by distance; 3 s." in page


def test_space_that_sees_the_missing_half_is_said_to() -> None:
    page = page_of([order((1.0, 2.0, 3.0), sees=True)], NAMES, "half", "Facts.")
    assert "`own`: all pairs in order; half told by distance and recall; 3 s." in page
    near = page_of([order((1.0, 1.0, 1.0), sees=False)], NAMES, "half", "Facts.")
    assert "half not told from other real films" in near
    assert table(page)["half"][1] == "0.400 [0.300 to 0.500] **below real**"


def test_half_of_the_groups_are_whole_groups_whatever_their_exposure() -> None:
    patterns = torch.nn.functional.interpolate(
        torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(0)), (32, 32)
    )
    draw = np.random.default_rng(0)
    mode = draw.permutation(np.repeat(np.arange(8), np.arange(12, 20)))  # so that their sizes differ
    exposed = [patterns[m] * float(draw.uniform(0.05, 0.2)) + float(draw.uniform(0.3, 0.6)) for m in mode]
    kept = in_half_of_the_groups(torch.stack(exposed), torch.stack(exposed), seed=0)
    assert sorted(set(mode[kept])) == [1, 3, 5, 7]
    assert len(kept) == (np.isin(mode, [1, 3, 5, 7])).sum()


def test_each_set_is_what_its_name_says(tmp_path: Path) -> None:
    found = known_sets(
        films(tmp_path / "films"), cache_dir=tmp_path / "cache", label="A", other_label="B", image_size=32
    )
    other, replay, aiin, wrong, repeated, noise = (each.images for each in found.ordered)
    count = len(other)
    assert {len(each.images) for each in (*found.ordered, found.half)} == {count}
    assert (replay - found.real.pixels[:count]).abs().mean() == pytest.approx(0.03 * (2 / np.pi) ** 0.5, rel=0.15)
    assert wrong.mean() < 0.7 * other.mean()  # films of B are half as bright
    assert len(torch.unique(repeated, dim=0)) == min(10, count)
    assert aiin.std() > other.std()
    assert noise.std() == pytest.approx(1 / 12**0.5, rel=0.05)
    assert set(found.ordered[0].patients or ()) & set(found.real.patients or ()) == set()


def test_the_table_has_every_space_and_the_classes_need_not_be_named(tmp_path: Path) -> None:
    folder, cache = films(tmp_path / "films"), tmp_path / "cache"
    (found,) = order_known_sets(folder, tmp_path / "f.md", spaces=["random"], cache_dir=cache, image_size=32)
    rows = table((tmp_path / "f.md").read_text())
    assert [row for row in rows if row.startswith("films of")] == ["films of other patients", "films of B"]
    assert found.distance("8-bit noise") > found.distance("films of other patients")


def test_films_without_patients_are_refused(tmp_path: Path) -> None:
    folder = films(tmp_path / "films", patients=False)
    with pytest.raises(InputDataError, match="films without patients"):
        order_known_sets(folder, tmp_path / "f.md", spaces=["random"], cache_dir=tmp_path / "cache", image_size=32)
    assert not (tmp_path / "f.md").exists()
