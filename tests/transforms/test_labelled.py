from collections import Counter
from dataclasses import replace

import pytest
import torch

from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.data.sources.finding import find_records
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.transforms import LabelledXrays, XrayDataset, labelled_films, xray_loader

NAN = float("nan")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    plain = {"patients": 30, "size": 64, "findings": ("NORMAL", "EFFUSION", "NODULES")}
    write_phantom_studies(root / "manifest", **plain)
    write_phantom_studies(root / "dicom", **plain, manifest=False)
    return root


@pytest.fixture
def make(folders, tmp_path):
    def build(kind="manifest", **settings):
        wiring = {"split": "train", "image_size": 32, "cache_dir": tmp_path / "cache", "accept_phantoms": True}
        return labelled_films(folders / kind, **{**wiring, **settings})

    return build


def test_targets_are_the_label_among_the_classes_in_their_order(make):
    films = make(classes=("NORMAL", "NODULES", "EFFUSION"))
    for place, record in enumerate(films.real.cache.records):
        assert films[place]["target"].tolist() == [float(record.label == name) for name in films.classes]
    assert make().classes == ("EFFUSION", "NODULES", "NORMAL")
    assert set(make(select="NORMAL,NODULES").classes) == {"NORMAL", "NODULES"}


def test_findings_that_nobody_reported_on_are_unknown(folders, tmp_path):
    records = find_records(folders / "manifest", split="train")
    findings = [(("effusion",), ("nodule",)), (("nodule",), ()), ((), ("effusion",))]
    items = tuple(
        replace(record, present=present, absent=absent)
        for record, (present, absent) in zip(records, findings, strict=False)
    )
    films = XrayDataset(replace(records, items=items), image_size=32, cache_dir=tmp_path, accept_phantoms=True)
    found = LabelledXrays(films, multi_label="true")
    assert found.classes == ("effusion", "nodule")
    assert str(found.targets.tolist()) == str([[1.0, 0.0], [NAN, 1.0], [0.0, NAN]])
    assert found.balanced_weights().tolist() == [1.0, 1.0]  # one absent for one present


def test_films_without_a_class_are_learnt_from_by_several_findings_alone(folders, tmp_path):
    votes = {"a": ("1,0", "1,0"), "b": ("0,1", "0,1"), "c": ("1,0", "0,0")}  # of R1, and R2 like R3: c has no class
    lines = [f"{name},R1,{one}\n{name},R2,{others}\n{name},R3,{others}\n" for name, (one, others) in votes.items()]
    (tmp_path / "annotations").mkdir()
    for split, who, text in (("train", "rad_id,", "".join(lines)), ("test", "", "d,1,0\n")):
        header = f"image_id,{who}Cardiomegaly,Pleural effusion\n"
        (tmp_path / "annotations" / f"image_labels_{split}.csv").write_text(header + text)
    films = sorted((folders / "dicom").rglob("*.dcm"))
    for name, film in zip(("train/a", "train/b", "train/c", "test/d"), films, strict=False):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.dicom").write_bytes(film.read_bytes())
    wiring = {"split": "train", "image_size": 32, "cache_dir": tmp_path / "cache", "accept_phantoms": True}
    assert [r.image.stem for r in labelled_films(tmp_path, **wiring).records] == ["a", "b"]
    assert [r.image.stem for r in labelled_films(tmp_path, **wiring, multi_label=True).records] == ["a", "b", "c"]


def test_splits_are_dealt_once_by_patient(folders):
    found = {s: find_records(folders / "dicom", split=s) for s in ("train", "val", "test")}
    patients = {split: {record.patient_id for record in records} for split, records in found.items()}
    assert patients["train"].isdisjoint(patients["val"] | patients["test"])
    assert sum(map(len, found.values())) == len(find_records(folders / "dicom"))
    again = find_records(folders / "dicom", split="val")
    assert [r.image for r in again] == [r.image for r in found["val"]]


def test_balanced_weights_and_sampling_make_classes_equal(make, folders):
    films = make(select="NORMAL,NODULES")
    counts = (films.targets == 1).sum(0).double()
    torch.testing.assert_close((counts * films.balanced_weights()), torch.full((2,), len(films) / 2).double())
    rare = films.targets.clone()
    films.targets = torch.eye(2)[[0] * 2 + [1] * (len(rare) - 2)]
    loader = xray_loader(films, 1, balance="sampling", seed=5)
    drawn = Counter()
    for epoch in range(40):
        loader.sampler.set_epoch(epoch)
        drawn.update(films.targets[i].argmax().item() for i in loader.sampler)
    assert drawn[0] / sum(drawn.values()) == pytest.approx(0.5, abs=0.05)
    loader.sampler.set_epoch(7)
    assert list(loader.sampler) == list(loader.sampler)


def test_validation_gives_every_film_once_in_order(make):
    films = make(split="val")
    places = torch.cat([batch["index"] for batch in xray_loader(films, 3, shuffle=False)])
    assert places.tolist() == list(range(len(films)))


def test_what_cannot_be_trained_on(make):
    with pytest.raises(InputDataError, match="label EFFUSION in train is none of NORMAL, NODULES"):
        make(classes=("NORMAL", "NODULES"))
    with pytest.raises(InputDataError, match="no film of FRACTURE in train"):
        make(classes=("NORMAL", "NODULES", "EFFUSION", "FRACTURE"))
    with pytest.raises(ConfigurationError, match="unknown balance 'equal' : balance : none, weights, sampling"):
        xray_loader(make(), 4, balance="equal")
    with pytest.raises(ConfigurationError, match="no images of split 'tset'"):
        make(split="tset")
