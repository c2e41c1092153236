"""Settings as config files name them, and as they are typed."""

from pathlib import Path

import pytest
from PIL import Image

from monai_xr.errors import ConfigurationError
from monai_xr.workflows.bundle_running.settings_list import SettingsList

CONFIG = """\
imports: [$import os]
dataset_dir: ""            # films
output_dir: $'runs/' + 'x'
size: 64                   # pixels, 32 to 256
rate: 0.5
resume: false
classes: null              # labels; null takes all
hidden: $len(@classes)
network:
  _target_: torch.nn.Linear
steps:
  - {_target_: torch.nn.ReLU}
"""


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "train.yaml").write_text(CONFIG)
    (tmp_path / "more.yaml").write_text("size: 128\n+network::bias: false\n")
    return SettingsList([tmp_path / "train.yaml", tmp_path / "more.yaml"])


def test_settings_are_plain_values_and_what_a_comment_explains(settings):
    assert settings.lines() == [
        ("--dataset_dir", "films"),
        ("--output_dir", ""),
        ("--size 128", "pixels, 32 to 256"),
        ("--rate 0.5", ""),
        ("--resume false", ""),
        ("--classes none", "labels; null takes all"),
    ]


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["--size", "3"], {"size": 3}),
        (["--size=3", "--rate", "-1"], {"size": 3, "rate": -1}),
        (["--resume"], {"resume": True}),
        (["--resume", "--size", "3"], {"resume": True, "size": 3}),
        (["--resume", "false"], {"resume": "false"}),
        (["--no-resume"], {"resume": False}),
        (["--output-dir", "2024"], {"output_dir": "2024"}),
        (["--network::bias", "True"], {"network::bias": True}),
    ],
)
def test_typed_settings_are_read(settings, typed, read):
    found = settings.read(typed)
    assert {name: str(value).lower() for name, value in found.items()} == {n: str(v).lower() for n, v in read.items()}


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["film.png"], "not a setting : film.png"),
        (["--size"], "setting without a value : size"),
        (["--sise", "3"], "no such setting : sise : did you mean size?"),
        (["--size", "big"], "'big' is not a whole number : size : such as 128"),
        (["--rate", "big"], "'big' is not a number : rate"),
        (["--resume=maybe"], "neither true nor false"),
        (["--dataset_dir", "nowhere"], "data folder does not exist : nowhere"),
    ],
)
def test_what_cannot_be_is_refused(settings, typed, message):
    with pytest.raises(ConfigurationError, match=message.replace("?", r"\?")):
        settings.check(settings.read(typed))


@pytest.fixture
def begun(tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "epoch_1.pt").touch()
    (run / "config.yaml").write_text(f"{CONFIG}max_epochs: 3\n")
    return run


def test_resume_with_other_settings_is_refused_before_anything_is_loaded(settings, begun):
    with pytest.raises(ConfigurationError, match="size was 64 when the training stopped and is 128 now"):
        settings.check(settings.read(["--output_dir", str(begun), "--resume"]))


@pytest.mark.parametrize("arguments", [["--size", "64", "--resume"], ["--size", "32"]])
def test_resume_with_the_same_settings_and_a_new_training_pass(settings, begun, arguments):
    settings.check(settings.read(["--output_dir", str(begun), *arguments]))


def test_resume_of_a_run_that_saved_nothing_passes(settings, begun):
    (begun / "checkpoints" / "epoch_1.pt").unlink()
    settings.check(settings.read(["--output_dir", str(begun), "--resume"]))


def test_resume_without_the_overlay_of_the_run_or_with_another_is_refused(begun, tmp_path):
    (tmp_path / "train.yaml").write_text(CONFIG)
    (tmp_path / "over.yaml").write_text("whole: 3\nrate: $@whole / 6\n")
    plain, over = [tmp_path / "train.yaml"], [tmp_path / "train.yaml", tmp_path / "over.yaml"]
    typed = {"output_dir": str(begun), "resume": True}
    SettingsList(plain).check(typed)
    with pytest.raises(ConfigurationError, match="whole was not set when the training stopped and is 3 now"):
        SettingsList(over).check(typed)
    (begun / "config.yaml").write_text(f"{CONFIG}whole: 3\n")
    SettingsList(over).check(typed)
    with pytest.raises(ConfigurationError, match="whole was 3 when the training stopped and is not set now : resume"):
        SettingsList(plain).check(typed)
    SettingsList([begun / "config.yaml"]).check(typed)


@pytest.mark.parametrize("overlay", ["aiin::clip_limit: 5\n", "+aiin: {clip_limit: 5}\n"])
def test_resume_with_an_overlay_that_sets_a_part_passes(begun, tmp_path, overlay):
    (tmp_path / "train.yaml").write_text(f"{CONFIG}aiin: {{mode: opencv, clip_limit: 10}}\n")
    (tmp_path / "over.yaml").write_text(overlay)
    (begun / "config.yaml").write_text(f"{CONFIG}aiin: {{mode: opencv, clip_limit: 5}}\n")
    SettingsList([tmp_path / "train.yaml", tmp_path / "over.yaml"]).check({"output_dir": str(begun), "resume": True})


def test_setting_that_a_run_of_an_older_version_does_not_know_passes(begun, tmp_path):
    (tmp_path / "train.yaml").write_text(f"{CONFIG}newer: 1\n")
    SettingsList([tmp_path / "train.yaml"]).check({"output_dir": str(begun), "resume": True})


def test_value_of_another_kind_in_an_overlay_is_refused(tmp_path):
    (tmp_path / "train.yaml").write_text(CONFIG)
    (tmp_path / "over.yaml").write_text("rate: much\n")
    with pytest.raises(ConfigurationError, match=r"'much' is not a number : rate : such as 0\.5"):
        SettingsList([tmp_path / "train.yaml", tmp_path / "over.yaml"]).check({})


def test_expressions_and_other_whole_numbers_pass(settings, tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "film.png")
    settings.check(settings.read(["--size", "$32 * 2", "--rate", "1", "--dataset_dir", str(tmp_path)]))


def test_every_setting_of_every_bundle_is_in_its_list():
    for config in Path(__file__).parents[3].glob("bundles/*/configs/train.yaml"):
        named = set(SettingsList([config]).settings)
        assert {"dataset_dir", "output_dir", "image_size", "batch_size", "resume", "classes", "seed"} <= named, config


def test_path_that_a_kept_config_left_out_must_be_typed(tmp_path):
    (tmp_path / "config.yaml").write_text("dataset_dir: …/films\nsize: 64\n", encoding="utf-8")
    kept = SettingsList([tmp_path / "config.yaml"])
    with pytest.raises(
        ConfigurationError, match="keeps no folders above this one : dataset_dir : add --dataset_dir PATH"
    ):
        kept.check({})
    Image.new("L", (8, 8)).save(tmp_path / "film.png")
    kept.check({"dataset_dir": str(tmp_path)})


def test_training_without_a_word_on_its_films_is_asked_where_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.yaml").write_text("dataset_dir: data\n")
    settings = SettingsList([tmp_path / "train.yaml"])
    with pytest.raises(ConfigurationError, match="say where the films are : dataset_dir : --dataset_dir FOLDER"):
        settings.check({})
    with pytest.raises(ConfigurationError, match="data folder does not exist : data"):
        settings.check({"dataset_dir": "data"})


def test_run_in_the_usual_folder_is_not_resumed_with_another_setting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "some_bundle"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "epoch_000001.pt").touch()
    config = "bundle: some_bundle\noutput_dir: $'runs/' + @bundle\nseed: {}\nresume: false\n"
    (run / "config.yaml").write_text(config.format(0))
    (tmp_path / "train.yaml").write_text(config.format(0))
    settings = SettingsList([tmp_path / "train.yaml"])
    with pytest.raises(ConfigurationError, match="seed was 0 when the training stopped and is 1 now"):
        settings.check({"seed": 1, "resume": True})
    settings.check({"resume": True})
