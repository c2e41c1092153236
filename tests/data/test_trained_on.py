"""Whom a training knows is kept, and nobody of them is scored or leaks through a generator."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_xr.data.images.png import write_png
from monai_xr.data.preparing import PrepareSettings, prepare
from monai_xr.data.sources.finding import find_records
from monai_xr.data.trained_on import NOBODY, TrainedOn, lineage_behind, units_in, write_lineage
from monai_xr.errors import InputDataError
from monai_xr.transforms import MixedXrayDataset, XrayDataset
from monai_xr.transforms.labelled import labelled_films
from monai_xr.workflows.judging_images.compared import open_held_out
from monai_xr.workflows.judging_images.image_sets import load_image_set


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty patients in two classes, one film each; the data names no splits."""
    _write(tmp_path / "films", {f"{index}.png": f"P{index}" for index in range(40)})
    return tmp_path / "films"


def _write(root: Path, patients: dict[str, str], *, also: str = "") -> None:
    root.mkdir(exist_ok=True)
    lines = [",".join(filter(None, ["image", "label", "patient_id", also, "split"]))]
    for name, patient in patients.items():
        seed = int(name.removesuffix(".png"))
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 24)).astype(np.uint8)).save(root / name)
        lines.append(f"{name},{('sick', 'well')[seed % 2]},{patient},")
    (root / "manifest.csv").write_text("\n".join(lines))


def _films(root: Path, split: str | None, **settings: Any) -> XrayDataset:
    return XrayDataset(root, image_size=16, cache_dir=root.parent / "cache", split=split, **settings)


def _generated(folder: Path, behind: TrainedOn) -> Path:
    for index in range(8):
        pixels = np.random.default_rng(900 + index).random((16, 16), np.float32)
        (folder / ("sick", "well")[index % 2]).mkdir(parents=True, exist_ok=True)
        write_png(folder / ("sick", "well")[index % 2] / f"{index}.png", pixels, {"Synthetic": "generated"})
    write_lineage(folder, behind)
    return folder


def test_a_gan_does_not_train_on_the_films_that_judge_the_classifier(folder: Path, tmp_path: Path) -> None:
    gan = _films(folder, "train")
    test = labelled_films(folder, split="test", image_size=16, cache_dir=tmp_path / "cache")
    assert len(gan) == 28
    assert units_in(test.real.cache).isdisjoint(gan.trained_on.units)
    gan.trained_on.refuse(units_in(test.real.cache), "were trained on", "")


def test_films_are_known_again_under_another_patient_name_size_and_folder(folder: Path, tmp_path: Path) -> None:
    known = _films(folder, "none").trained_on
    _write(tmp_path / "renamed", {f"{index}.png": f"OTHER{index}" for index in range(40)})
    prepare(tmp_path / "renamed", tmp_path / "set", PrepareSettings(size=20, decode="direct"))
    again = XrayDataset(tmp_path / "set", image_size=8, cache_dir=tmp_path / "cache", split="test")
    with pytest.raises(InputDataError, match=r"8 of 8 films were trained on, such as film/[0-9a-f]{16} : set : other"):
        known.refuse(units_in(again.cache), "were trained on", "other", where=tmp_path / "set")
    with pytest.raises(InputDataError, match=r"such as film/[0-9a-f]{16} \(\d+\.png\) : "):
        known.refuse(units_in(again.cache), "were trained on", "other", where=tmp_path / "set", cache=again.cache)


def test_other_films_of_a_patient_are_refused_by_the_hash_of_the_patient(folder: Path, tmp_path: Path) -> None:
    known = _films(folder, "train").trained_on
    patient = next(r.patient_id for r in _films(folder, "train").cache.records)
    _write(tmp_path / "later", {f"{index}.png": f"P{index - 100}" for index in range(100, 140)})
    later = _films(tmp_path / "later", "none")
    with pytest.raises(InputDataError, match=r"28 of 40 patients were trained on, such as patient/"):
        known.refuse(units_in(later.cache), "were trained on", "")
    assert f"patient/{patient}" in known.units


@pytest.mark.parametrize("is_prepared", [False, True])
def test_a_group_with_patients_in_several_splits_stands_for_nobody(tmp_path: Path, is_prepared: bool) -> None:
    _write(tmp_path / "raw", {f"{index}.png": f"P{index},hospital{index % 3}" for index in range(40)}, also="group_id")
    folder = tmp_path / "raw"
    if is_prepared:
        folder = tmp_path / "set"
        prepare(tmp_path / "raw", folder, PrepareSettings(size=16, decode="direct"))
    known = _films(folder, "train").trained_on
    known.refuse(units_in(_films(folder, "test").cache), "were trained on", "")
    with pytest.raises(InputDataError, match="28 of 28 patients were trained on"):
        known.refuse(units_in(_films(folder, "train").cache), "were trained on", "")


def test_mixing_refuses_a_generator_that_knows_the_test_patients(folder: Path, tmp_path: Path) -> None:
    real = _films(folder, "train")
    everybody = _generated(tmp_path / "leaking", _films(folder, "none").trained_on)
    with pytest.raises(InputDataError, match=r"12 of 12 patients outside train are known to the generator.* : leaking"):
        MixedXrayDataset(real, everybody, cache_dir=tmp_path / "cache", ratio=0.1)
    honest = _generated(tmp_path / "honest", real.trained_on)
    mixed = MixedXrayDataset(real, honest, cache_dir=tmp_path / "cache", ratio=0.1)
    assert mixed.trained_on == real.trained_on


def test_a_classifier_knows_whom_its_generator_knows(folder: Path, tmp_path: Path) -> None:
    _write(tmp_path / "elsewhere", {f"{index}.png": f"E{index}" for index in range(50, 60)})
    other = _films(tmp_path / "elsewhere", "none")
    generated = _generated(tmp_path / "generated", other.trained_on)
    mixed = MixedXrayDataset(_films(folder, "train"), generated, cache_dir=tmp_path / "cache", ratio=0.1)
    with pytest.raises(InputDataError, match="10 of 10 patients were trained on"):
        mixed.trained_on.refuse(units_in(other.cache), "were trained on", "")


def _by_class(folder: Path, behind: dict[str, TrainedOn | None]) -> Path:
    """Write images of a generator for each class, each in a folder of its own."""
    for label, known in behind.items():
        one = _generated(folder / "all", NOBODY)
        shutil.move(one / label, folder / label)
        shutil.rmtree(one)
        if known:
            write_lineage(folder / label, known)
    return folder


def test_each_class_may_have_a_generator_of_its_own_and_each_is_asked(folder: Path, tmp_path: Path) -> None:
    real, everybody = _films(folder, "train"), _films(folder, "none")
    several = _by_class(tmp_path / "gans", {"sick": real.trained_on, "well": everybody.trained_on})
    with pytest.raises(InputDataError, match="12 of 12 patients outside train are known to the generator"):
        MixedXrayDataset(real, several, cache_dir=tmp_path / "cache", ratio=0.1)
    test = _films(folder, "test")
    raw = load_image_set(test.source, name="held-out", image_size=16, admit=("patient",), cache_dir=tmp_path / "cache")
    behind = lineage_behind(find_records(several).images())
    with pytest.raises(InputDataError, match="held out are known to the generator"):
        open_held_out(raw, test.source, behind, None)


def test_generated_images_laid_among_the_films_keep_their_lineage(folder: Path, tmp_path: Path) -> None:
    elsewhere = TrainedOn(units=frozenset({"patient/somebody"}))
    made = _generated(folder / "made", elsewhere)
    rows = [f"made/{path.relative_to(made)},{path.parent.name},{path.stem},train" for path in made.rglob("*.png")]
    table = (folder / "manifest.csv").read_text().replace(",\n", ",train\n").removesuffix(",") + ",train\n"
    (folder / "manifest.csv").write_text(table + "\n".join(rows))
    films = XrayDataset(folder, image_size=16, cache_dir=tmp_path / "cache", accept_synthetic=True)
    assert films.generated == 8
    assert "patient/somebody" in films.trained_on.units


def test_what_nobody_told_of_some_images_is_told_when_a_classifier_is_judged(folder: Path, tmp_path: Path) -> None:
    real = _films(folder, "train")
    silent = _by_class(tmp_path / "gans", {"sick": real.trained_on, "well": None})
    mixed = MixedXrayDataset(real, silent, cache_dir=tmp_path / "cache", ratio=0.1)
    known = TrainedOn.from_dict(mixed.trained_on.as_dict())
    assert "nothing says whom their generator was trained on" in known.cannot_tell(_films(folder, "test").source)


def test_images_that_do_not_say_whom_their_generator_knows_are_warned_about(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    generated = _generated(tmp_path / "foreign", NOBODY)
    (generated / "lineage.json").unlink()
    MixedXrayDataset(_films(folder, "train"), generated, cache_dir=tmp_path / "cache", ratio=0.1)
    assert "foreign: The weights do not say whom they were trained on" in caplog.text


def test_hashes_of_another_key_are_told_apart(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = TrainedOn.from_dict(_films(folder, "train").trained_on.as_dict())
    assert known.cannot_tell(_films(folder, "test").source) == ""
    monkeypatch.setenv("MONAI_XR_KEY", str(tmp_path / "other.key"))
    (folder / "splits.json").unlink()
    again = _films(folder, "test")
    assert "hashed with another key" in known.cannot_tell(again.source)
