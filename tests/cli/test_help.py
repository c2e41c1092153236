"""What `--help`, `--version` and flags tell and take, without anything heavy loaded."""

from typing import Annotated

import pytest
import typer

from monai_xr.cli.app import App


def told(output):
    return " ".join(output.split())


def test_help_lists_every_command_in_the_order_in_which_one_needs_them(monai_xr):
    code, out, _ = monai_xr("--help")
    told_at = [out.index(f"\u2502 {name} ") for name in ("demo", "inspect", "train", "study", "intake", "drift")]
    assert (code, told_at) == (0, sorted(told_at))


def test_a_value_that_cannot_be_is_refused_before_anything_is_loaded(monai_xr, tmp_path):
    for name, value, told_of_it in (("image_size", 65, "one of [32, 64"), ("max_epochs", 0, "of at least 1")):
        code, _, error = monai_xr("train", "chest_xray_dcgan", f"--{name}", str(value), "--dataset_dir", str(tmp_path))
        assert (code, told_of_it in error) == (2, True)


def test_help_of_train_lists_the_bundles_with_their_tasks(monai_xr):
    code, out, _ = monai_xr("train", "--help")
    assert code == 0
    assert "chest_xray_acgan Class-conditional synthesis of chest X-rays" in told(out)
    assert "chest_xray_vit_classification Classification of chest X-rays" in told(out)


@pytest.mark.parametrize("order", [("chest_xray_dcgan", "--help"), ("--help", "chest_xray_dcgan")])
def test_help_of_a_bundle_lists_its_settings_with_the_comments_of_its_config(monai_xr, order):
    code, out, _ = monai_xr("train", *order)
    assert code == 0
    assert "--image_size 64 pixels, 32 to 512" in told(out)
    assert "--resume false" in out
    assert "--classes none labels to train on; null takes all" in told(out)
    assert "generator" not in {line.split()[0].removeprefix("--") for line in out.splitlines() if line.strip()}


def test_help_of_sample_lists_all_its_options(monai_xr):
    code, out, _ = monai_xr("sample", "--help")
    assert code == 0
    for option in ("--count", "--seed 0", "--synthetic_dir", "--formats", "--checkpoint", "--device auto"):
        assert option in out
    assert "start from training films (chest_xray_iagan)" in told(out)


def test_unknown_bundle_is_told_in_spite_of_help(monai_xr):
    code, _, error = monai_xr("train", "chest_xray_dcgn", "--help")
    assert (code, "did you mean chest_xray_dcgan?" in error) == (2, True)


def test_version_is_an_option_that_help_lists(monai_xr):
    assert "--version" in monai_xr("--help")[1]
    code, out, _ = monai_xr("--version")
    assert (code, out.startswith("monai-xr 0.")) == (0, True)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ((), False),
        (("--accept-phantoms",), True),
        (("--accept_phantoms", "true"), True),
        (("--accept_phantoms=yes",), True),
        (("--accept-phantoms", "false"), False),
        (("--no-accept-phantoms",), False),
        (("--accept-phantoms", "folder"), True),
    ],
)
def test_flags_are_flags_with_and_without_a_value(typed, read):
    app, seen = App(context_settings={"token_normalize_func": lambda name: name.replace("_", "-")}), []

    @app.command()
    def only(rest: Annotated[list[str] | None, typer.Argument()] = None, accept_phantoms: bool = False):
        seen.append((accept_phantoms, rest or []))

    app([*typed], standalone_mode=False)
    assert seen == [(read, [word for word in typed if word == "folder"])]
