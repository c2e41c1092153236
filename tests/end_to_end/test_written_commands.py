"""Every command that the README and the model cards tell people to type runs on phantoms.

Commands in blocks are run, in their order, with settings that make them short. Those that need a server, several
processes or an installation are run in other tests. Of commands within sentences every option is looked up.
"""

import csv
import re
import shlex
from pathlib import Path

import pytest
from monai.bundle import ConfigWorkflow
from typer.testing import CliRunner

from monai_xr.cli.app import app
from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.settings import parse_typed

ROOT = Path(__file__).parents[2]
BUNDLES = sorted(path.name for path in (ROOT / "bundles").iterdir() if (path / "docs" / "README.md").is_file())
ELSEWHERE = {
    "make": "tests/test_makefile.py",
    "torchrun": "tests/end_to_end/test_distributed.py",
    "monai-xr accept": "tests/deploy/test_accepting.py",
    "monai-xr export": "tests/deploy/test_exporting.py",
    "monai-xr intake": "tests/end_to_end/test_pacs.py",
    "monai-xr study": "tests/workflows/studies/test_study.py",
    "monai-xr mlflow": "tests/cli/test_runs_commands.py",
    "monai-xr verify-app": "tests/deploy/test_verifying.py",
    "python APP/app": "tests/deploy/test_exporting.py",
}
SHORT = {"--max_epochs": "1", "--count": "12", "--image_size": "32"}
TRAINING = [
    "--accept_phantoms",
    "true",
    "--batch_size",
    "4",
    "--image_size",
    "32",
    "--max_epochs",
    "1",
    "--track",
    "false",
]
OF_GENERATORS = {
    "chest_xray_msg_gan": ["--width", "4", "--latent_size", "8"],
    "chest_xray_msg_sagan": ["--width", "16", "--latent_size", "8", "--attention_sizes", "[16]"],
    "chest_xray_iagan": ["--width", "16", "--ema_decay", "0"],
    "chest_xray_vit_classification": ["--backbone", "resnet10t"],
}
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*resolved to an importable callable"),
    pytest.mark.filterwarnings("ignore:.*arbitrary code"),
]


def typed(document: Path) -> list[str]:
    """Give the commands in the blocks of a document, without comments and the folder of the environment."""
    blocks = re.findall(r"^```\n(.*?)^```", document.read_text(encoding="utf-8"), re.M | re.S)
    lines = (line for block in blocks for line in block.replace("\\\n", " ").splitlines())
    commands = (line.partition("  #")[0].strip().removeprefix(".venv/bin/") for line in lines)
    return [each for each in commands if re.match(r"(monai-xr|python|torchrun|make|mlflow) ", each)]


def in_sentences(document: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.findall(r"`(monai-xr [a-z][^`]*)`", re.sub(r"\s+", " ", text))


def is_elsewhere(command: str) -> bool:
    return any(command.startswith(start) for start in ELSEWHERE)


def check_options(command: str) -> None:
    """Check that a command is there and has every option that is typed; knobs of a bundle are checked when it runs."""
    words = [word for word in shlex.split(command)[1:] if word != "..."]
    names = words[: 2 if words[0] in ("intake", "study") else 1]
    help_of = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "300", "TERM": "dumb"})
    assert help_of.exit_code == 0, command
    if names[0] in ("train", "sample"):
        return
    for option in (word.partition("=")[0] for word in words if word.startswith("--")):
        assert re.search(rf"{option}\b", help_of.output), f"{command}: {option}"


def test_options_of_the_commands_within_sentences_are_there():
    commands = [
        each for path in [ROOT / "README.md", *ROOT.glob("bundles/*/docs/README.md")] for each in in_sentences(path)
    ]
    assert len(commands) > 8
    for command in {
        *commands,
        *(each for each in typed(ROOT / "README.md") if is_elsewhere(each) and each.startswith("monai-xr ")),
    }:
        check_options(command)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Phantoms of the classes that the README names."""
    folder = tmp_path_factory.mktemp("films")
    rows = write_phantom_studies(folder, patients=36, size=64, findings=("NORMAL", "EFFUSION"))
    splits = ("train", "train", "val", "test")
    patients = sorted({row.patient_id for row in rows})
    table = [["image", "label", "patient_id", "split"]]
    for row in rows:
        label = "PNEUMONIA" if row.label == "EFFUSION" else row.label
        table.append([row.image, label, row.patient_id, splits[patients.index(row.patient_id) // 2 % 4]])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(table)
    return folder


def shortened(command: str, films: Path) -> list[str]:
    """Give the words of a command with the films in the place of FOLDER, and small numbers."""
    words = shlex.split(command)
    for place, word in enumerate(words[:-1]):
        if word in SHORT:
            words[place + 1] = SHORT[word]
    stands_for = {"FOLDER": str(films), "FILMS": str(films), "FILE_OR_FOLDER": str(films)}
    return [stands_for.get(word, word) for word in words]


def test_commands_of_the_readme(films, monai_xr):
    commands = [each for each in typed(ROOT / "README.md") if not is_elsewhere(each)]
    assert len(commands) >= 9
    for command in commands:
        words = shortened(command, films)
        if words[0] == "python":
            plain(words, ROOT)
            continue
        kind = words[1]
        more = {"train": TRAINING, "sample": [], "inspect": []}.get(kind, ["--accept-phantoms"])
        if kind == "train":
            more = [*more, *OF_GENERATORS.get(words[2], ["--width", "4"])]
        code, _, error = monai_xr(*words[1:], *more)
        assert code == 0, f"{command}: {error}"


def plain(words: list[str], folder: Path) -> None:
    """Run what `python -m monai.bundle run` would, in this process."""
    assert words[:4] == ["python", "-m", "monai.bundle", "run"]
    knobs = {name[2:]: parse_typed(name[2:], value) for name, value in zip(words[5::2], words[6::2], strict=True)}
    config = folder / knobs.pop("config_file")
    run_id = words[4]
    short = (
        dict(zip(TRAINING[::2], TRAINING[1::2], strict=True)) if run_id == "training" else {"--accept_phantoms": "true"}
    )
    if run_id == "training":
        of_bundle = OF_GENERATORS.get(config.parents[1].name, ["--width", "4"])
        short |= dict(zip(of_bundle[::2], of_bundle[1::2], strict=True))
    text = config.read_text()
    short = {name[2:]: parse_typed(name[2:], value) for name, value in short.items() if f"\n{name[2:]}:" in text}
    workflow = ConfigWorkflow([str(config)], run_id=run_id, logging_file=False, **short | knobs)
    workflow.initialize()
    workflow.run()
    workflow.finalize()


@pytest.mark.parametrize("name", BUNDLES)
def test_commands_of_a_model_card(name, films, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = ROOT / "bundles" / name
    commands = typed(folder / "docs" / "README.md")
    assert [each.split()[4] for each in commands if each.startswith("python")].count("training") == 1
    for command in commands:
        files = re.findall(r"configs/\w+\.yaml", command)
        assert all((folder / file).is_file() for file in files)
        if command.startswith("monai-xr"):
            check_options(command.replace("_", "-"))
        elif not is_elsewhere(command):
            plain(shortened(command, films), folder)


def test_what_the_readme_links_to_is_there():
    named = re.findall(r"\]\((?!http|#)([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []
