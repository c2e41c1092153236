"""A name in an overlay that nothing reads is refused: what MONAI would merge and never look at."""

from pathlib import Path

import pytest

from monai_xr.errors import ConfigurationError
from monai_xr.workflows.bundle_running.bundle_folders import config_files, overlays_of
from monai_xr.workflows.bundle_running.overlays import check_overlays

BUNDLES = Path(__file__).parents[3] / "bundles"
STYLEGAN2 = BUNDLES / "chest_xray_stylegan2"


def test_every_overlay_that_comes_with_a_bundle_is_read_by_it():
    names = {}
    for bundle in sorted(BUNDLES.iterdir()):
        names[bundle.name] = [name for name, _ in overlays_of(bundle)]
        for name in names[bundle.name]:
            check_overlays(config_files(bundle, "train", [Path(name)]))
    assert names["chest_xray_dcgan"] == [
        *("adas.yaml", "aiin_authors.yaml", "lean.yaml", "multi_gpu_train.yaml", "table_ii.yaml", "ttur.yaml")
    ]
    assert all("multi_gpu_train.yaml" in each for name, each in names.items() if name != "chest_xray_linear_probe")


@pytest.mark.parametrize(
    ("bundle", "content", "told"),
    [
        ("stylegan2", "bach_size: 16\n", "bach_size : did you mean batch_size?"),
        ("stylegan2", "train::decai: 1.0\n", "train::decai : did you mean decay?"),
        ("stylegan2", "images_in_all: 3\nmax_epochs: $@images_in_all\n", None),
        ("stylegan2", "train::extra: 3\nmax_epochs: $@train::extra\n", None),
        ("stylegan2", "extra: {a: 3}\nmax_epochs: $@extra::a\n", None),
        ("stylegan2", "train::extra: {b: 3}\nmax_epochs: $@train#extra#b\n", None),
        ("stylegan2", "extra: 3\nmax_epochs: '%extra'\n", None),
        ("stylegan2", "low: 1\nhigh: 3\nclasses: $['A', 'B', 'C'][@low:@high]\n", None),
        ("stylegan2", "aiin::bits: 12\n", None),
        ("stylegan2", "+train: {decay: 1.0}\ntrain::inferer: null\n", None),
        ("stylegan2", "+train: {decai: 1.0}\n", "train::decai : did you mean decay?"),
        ("stylegan2", "generator::anything: 3\n", None),  # MONAI tells that itself: an argument of a component
        ("dcgan", (STYLEGAN2 / "configs" / "long.yaml").read_text(), "train::decay : known: dataloader, "),
        ("dcgan", "- a\n", "cannot be read as YAML : over.yaml"),
    ],
)
def test_name_that_nothing_reads_is_refused(tmp_path, bundle, content, told):
    over = tmp_path / "over.yaml"
    over.write_text(content)
    files = [BUNDLES / f"chest_xray_{bundle}" / "configs" / "train.yaml", over]
    if told is None:
        check_overlays(files)
        return
    with pytest.raises(ConfigurationError) as refusal:
        check_overlays(files)
    assert told in str(refusal.value)


def test_overlays_are_named_where_one_is_not_there():
    with pytest.raises(ConfigurationError, match=r"lonk.yaml : overlays of chest_xray_stylegan2: long.yaml, multi_gpu"):
        config_files(STYLEGAN2, "train", [Path("lonk.yaml")])
