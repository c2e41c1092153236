"""`split_patients`: nobody in two splits, whatever the data; sizes and classes as asked for."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_xr.data.records import Record, Records
from monai_xr.data.sources.finding import find_records
from monai_xr.data.splits.dealing import split_patients
from monai_xr.errors import ConfigurationError, InputDataError

ROOT = Path("data")


def _records(*rows: tuple[str, str, str]) -> Records:
    """Records of (label, patient, group)."""
    items = tuple(Record(ROOT / f"{index}.png", *row, "") for index, row in enumerate(rows))
    return Records(ROOT, items, "manifest")


def _cohort(seed: int, patients: int) -> Records:
    """Patients of 1 to 10 images; the images of one patient may differ in class."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        for _ in range(rng.integers(1, 11)):
            rows.append((("rare", "sick", "well")[rng.choice(3, p=[0.05, 0.35, 0.6])], f"P{patient}", ""))
    return _records(*rows)


def _splits_by(records: Records, field: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        found[getattr(record, field)].add(record.split)
    return found


@settings(max_examples=8, deadline=None)
@given(data_seed=st.integers(0, 2**31), seed=st.integers(0, 2**32 - 1), train=st.floats(0.4, 0.8))
def test_no_patient_in_two_splits_and_sizes_and_classes_as_asked(data_seed: int, seed: int, train: float) -> None:
    records = _cohort(data_seed, 1000)
    fractions = {"train": train, "val": 0.1, "test": 0.9 - train}
    done = split_patients(records, seed=seed, fractions=fractions).records
    assert all(len(splits) == 1 for splits in _splits_by(done, "patient_id").values())
    totals = Counter(record.label for record in done)
    sizes = Counter(record.split for record in done)
    for name, fraction in fractions.items():
        assert sizes[name] / len(done) == pytest.approx(fraction, abs=0.02)
        for label, total in totals.items():
            share = sum(r.split == name and r.label == label for r in done) / total
            assert share == pytest.approx(fraction, abs=0.05)


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("xyz"), st.sampled_from(["", "A", "B", "C", "D"]), st.sampled_from(["", "G", "H"])),
        max_size=40,
    ),
    seed=st.integers(0, 10),
)
def test_any_mixture_of_ids_keeps_patients_and_groups_together_or_is_refused(
    rows: list[tuple[str, str, str]], seed: int
) -> None:
    records = _records(*rows)
    try:
        done = split_patients(records, seed=seed).records
    except InputDataError:
        return
    assert [(r.image, r.label) for r in done] == [(r.image, r.label) for r in records]
    assert {r.split for r in done} == {"train", "val", "test"}
    by_patient = _splits_by(done, "patient_id")
    assert all(len(splits) == 1 for patient, splits in by_patient.items() if patient)
    for group in {r.group_id for r in done if not r.patient_id}:
        assert len({r.split for r in done if r.group_id == group}) == 1


def test_same_seed_same_split_other_seed_other_split() -> None:
    records = _cohort(1, 50)
    first, again, other = (split_patients(records, seed=seed).records for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_group_is_the_unit_where_patients_are_unknown() -> None:
    done = split_patients(_records(*[("x", "", f"G{index // 2}") for index in range(40)]), seed=0)
    assert done.unit == "group"
    assert all(len(splits) == 1 for splits in _splits_by(done.records, "group_id").values())


def test_images_without_ids_are_refused_unless_allowed() -> None:
    records = _records(*[("x", "", "")] * 9, ("x", "P", ""))
    with pytest.raises(InputDataError, match=r"9 of 10 images without patient_id and group_id .*--no-patients"):
        split_patients(records, seed=0)
    done = split_patients(records, seed=0, no_patients=True)
    assert done.unit == "patient or image"


def test_split_image_by_image_says_what_that_means() -> None:
    done = split_patients(_records(*[("x", "", "")] * 10), seed=0, no_patients=True)
    assert done.notes == ("patients of some images unknown: images of one patient may be in two splits",)


@pytest.mark.parametrize("patients", [1, 2])
def test_fewer_patients_than_splits_is_refused(patients: int) -> None:
    rows = [("x", f"P{index % patients}", "") for index in range(20)]
    with pytest.raises(InputDataError, match=f"{patients} patients for 3 splits .*needs at least 3"):
        split_patients(_records(*rows), seed=0)


def test_as_many_patients_as_splits_gives_one_each() -> None:
    done = split_patients(_records(("x", "A", ""), ("x", "B", ""), ("x", "C", "")), seed=0).records
    assert sorted(record.split for record in done) == ["test", "train", "val"]


def test_class_of_one_patient_goes_to_one_split_with_a_note() -> None:
    rows = [("well", f"P{index}", "") for index in range(30)] + [("rare", "Q", "")]
    done = split_patients(_records(*rows), seed=0)
    assert done.notes == ("class rare has no image in val, test",)


def test_placeholder_id_is_pointed_out() -> None:
    rows = [("x", "ANONYMOUS", "")] * 8 + [("x", f"P{index}", "") for index in range(4)]
    assert split_patients(_records(*rows), seed=0).notes == (
        "one patient has 8 of 12 images: is its id a placeholder?",
    )


def test_split_of_no_share_stays_empty() -> None:
    done = split_patients(_cohort(0, 20), seed=0, fractions={"train": 0.8, "val": 0.2, "test": 0}).records
    assert {record.split for record in done} == {"train", "val"}


@pytest.mark.parametrize("fractions", [{"train": 0.5, "test": 0.4}, {"train": 1.2, "test": -0.2}, {"train": np.nan}])
def test_fractions_that_cannot_be(fractions: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="add up to 1"):
        split_patients(_cohort(0, 20), seed=0, fractions=fractions)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_out_of_range(seed: int) -> None:
    with pytest.raises(ConfigurationError, match="from 0 to 4294967295"):
        split_patients(_cohort(0, 20), seed=seed)


@pytest.mark.parametrize(
    ("name", "unit", "field"), [("kermany", "patient", "patient_id"), ("covid_radiography", "group", "group_id")]
)
def test_real_sets_split_by_patient_or_group(real_data: Path, name: str, unit: str, field: str) -> None:
    done = split_patients(find_records(real_data / "cxr" / name), seed=0)
    assert done.unit == unit
    assert all(len(splits) == 1 for splits in _splits_by(done.records, field).values())
    sizes = Counter(record.split for record in done.records)
    assert sizes["train"] / len(done.records) == pytest.approx(0.7, abs=0.001)
