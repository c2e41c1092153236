"""Paths and names through the plain MONAI command, which reads them as Python and as its own language."""

import pytest

from monai_xr.workflows.bundle_running.plain_command import typed_knobs

CONFIG = """
imports: [$from monai_xr.workflows.bundle_running.plain_command import prepare_plain_command]
dataset_dir: data
cache_dir: $@dataset_dir + '/cache'
classes: null
split: train
seed: 0
initialize: [$prepare_plain_command()]
run: ["$print(repr([@dataset_dir, @cache_dir, @classes, @split, @seed]))"]
"""


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["--dataset_dir", "2024"], ["2024", "2024/cache", None, "train", 0]),
        (["--dataset_dir=1e3", "--classes", "1e3"], ["1e3", "1e3/cache", "1e3", "train", 0]),
        (["--dataset_dir", "@films", "--split", "$val"], ["@films", "@films/cache", None, "$val", 0]),
        (["--dataset_dir", "a#2", "--classes", "A,2"], ["a#2", "a#2/cache", "A,2", "train", 0]),
        (["--classes", "['A','@B']", "--seed", "3"], ["data", "data/cache", ["A", "@B"], "train", 3]),
        (["--dataset_dir", "'007'", "--split", "None"], ["007", "007/cache", None, None, 0]),
    ],
)
def test_paths_and_names_are_the_text_that_was_typed(plain_command, tmp_path, typed, read):
    (tmp_path / "config.yaml").write_text(CONFIG)
    done = plain_command(tmp_path, "--config_file", "config.yaml", *typed)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == repr(read)


def test_only_knobs_that_are_paths_or_names_are_taken_from_the_command_line():
    typed = ["run", "training", "--dataset-dir", "a b", "--seed", "1", "--split=x=y", "dataset_dir", "--classes"]
    assert typed_knobs(typed) == {"dataset_dir": "a b", "split": "x=y", "classes": ""}
