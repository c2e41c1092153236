"""A study file is typed: a misspelt key, an expression or an arm that cannot be is refused before anything is run."""

from pathlib import Path

import pytest

from monai_xr.errors import ConfigurationError
from monai_xr.workflows.studies.design import Place, read_design
from monai_xr.workflows.studies.study import commands_of
from monai_xr.workflows.studies.study_file import read_study

EXPERIMENTS = Path(__file__).parents[3] / "configs" / "experiments"
STUDY = """
question: Does it help?
dataset_dir: films
positive: A
negative: B
generators:
  gan: {bundle: chest_xray_dcgan}
arms:
  real only: {role: baseline}
  duplicates: {role: baseline, added: copies}
  fakes: {role: synthetic, added: gan}
sizes:
  small: {counts: [10]}
  large: {counts: [10, 30], phantoms: 40, positive: C}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return path


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("counts: [10]", "count: [10]", "no key 'count' here; did you mean counts"),
        ("role: synthetic", "rolle: synthetic", "no key 'rolle' here; did you mean role"),
        ("question: Does it help?", "question: $print(1)", "expressions are not read"),
        ("bundle: chest_xray_dcgan", "bundle: chest_xray_dcgan, knobs: {width: '@x'}", "expressions are not read"),
        ("added: gan", "added: gann", "'fakes' adds 'gann'; known: copies, noise, held back, gan"),
        ("added: gan", "added: gan, other_class: true", "'fakes' needs a generator of both classes"),
        ("added: copies", "added: copies, use: pretrain", "'duplicates' needs a generator"),
        ("real only", "only real", "no arm called 'real only'"),
        ("counts: [10]", "counts: [0]", "greater than or equal to 1"),
        ("counts: [10]", "counts: [10], only: [fake]", "no arm called 'fake'"),
        ("role: synthetic", "role: fake", "Input should be"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(study: Path, before: str, after: str, told: str) -> None:
    study.write_text(STUDY.replace(before, after, 1))
    with pytest.raises(ConfigurationError, match=told):
        read_study(study)


def test_a_size_names_its_own_rare_class_unless_other_films_are_given(study: Path) -> None:
    assert read_design(study, "large").study.positive == "C"
    given = read_design(study, "large", dataset_dir="others")
    assert (given.study.positive, given.size.phantoms, given.study.dataset_dir) == ("A", 0, "others")


def test_a_size_must_be_named_where_there_are_several(study: Path) -> None:
    with pytest.raises(ConfigurationError, match="--size: small, large"):
        read_design(study)


def test_the_digest_of_a_design_moves_with_what_is_run_and_with_nothing_else(study: Path) -> None:
    before = read_design(study, "small").digest
    study.write_text(STUDY.replace("counts: [10, 30]", "counts: [10, 40]"))
    assert read_design(study, "small").digest == before
    study.write_text(STUDY.replace("counts: [10]", "counts: [12]"))
    assert read_design(study, "small").digest != before


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_studies_that_come_with_the_package_can_be_read(path: Path) -> None:
    if "arms:" in path.read_text():
        assert {"smoke", "paper"} <= set(read_study(path).sizes)


@pytest.mark.parametrize(
    ("classes", "minority", "found"),
    [
        ("", "", ("A", "B")),
        ("X,Y", "", ("X", "Y")),
        ("X, Y", "Y", ("Y", "X")),
        ("", "C", ("C", "B")),
        ("", "B", ("B", "A")),
    ],
)
def test_a_command_line_names_other_classes(study: Path, classes: str, minority: str, found: tuple[str, str]) -> None:
    design = read_design(study, "small", classes=classes, minority=minority)
    assert (design.study.positive, design.study.negative) == found
    assert read_design(study, "small", no_patients=True).study.no_patients
    told = " ".join(commands_of(design, Place(study, study.parent / "out")))
    assert ("--classes" in told) is bool(classes or minority)
    if classes:
        assert f"--classes {','.join(found)}" in told


@pytest.mark.parametrize(("classes", "minority"), [("X", ""), ("X,Y,Z", ""), ("X,X", ""), ("X,Y", "Z")])
def test_classes_that_are_not_two_are_refused(study: Path, classes: str, minority: str) -> None:
    with pytest.raises(ConfigurationError, match=r"classes X.* : two, the rare one first"):
        read_design(study, "small", classes=classes, minority=minority)
