"""Chooses one size of a study file, with what the command line says: `Design`, and `Place`, where the study is."""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from monai_xr.errors import ConfigurationError
from monai_xr.settings import joined_names, parse_names
from monai_xr.workflows.studies.study_file import DUPLICATES, REAL_ONLY, Arm, Size, Study, read_study


@dataclass(frozen=True)
class Design:
    """A study of one size.

    Args:
        name: Of the file, without its ending.
        study: What stands in the file, with the size's own classes.
        size: The one chosen.
        size_name: Its name.
        test_set: Folder of films of another source, "" for none.
        options: Of the command line, beside folders, that decide what is run.
    """

    name: str
    study: Study
    size: Size
    size_name: str
    test_set: str = ""
    options: tuple[str, ...] = ()

    @property
    def arms(self) -> dict[str, Arm]:
        """Give the arms that are run, in the order of the file."""
        wanted = {REAL_ONLY, DUPLICATES, *self.size.only} if self.size.only else set(self.study.arms)
        return {name: arm for name, arm in self.study.arms.items() if name in wanted}

    def aiin_of(self, arm: Arm) -> Any:
        """Give what all films of an arm go through."""
        found = self.study.generators[arm.added].aiin if arm.added in self.study.generators else arm.aiin
        return found or "none"

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides what is run."""
        idle = {"checkpoints", "choose_by"} if self.size.checkpoints == 1 else None
        content = [self.study.model_dump(exclude={"sizes"}), self.size.model_dump(exclude=idle), self.test_set]
        return sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class Place:
    """Where a study is, and how it was called.

    Args:
        file: Of the study, or its plan.
        folder: Takes all that it makes.
    """

    file: Path
    folder: Path


def read_design(
    path: Path,
    size: str = "",
    *,
    dataset_dir: str = "",
    test_set: str = "",
    classes: str = "",
    minority: str = "",
    no_patients: bool = False,
) -> Design:
    """Read a study of one size.

    Args:
        path: Study file, or a plan, which has one size alone.
        size: Its name; may be left out where there is one.
        dataset_dir: Takes the place of that in the file, and of phantoms.
        test_set: Folder of films of another source.
        classes: Two names with a comma between, the rare one first unless `minority` names it.
        minority: The rare class.
        no_patients: Lets films of unknown patients be split one by one, also where the file does not.

    Raises:
        ConfigurationError: No such file or size, no data, or classes that cannot be.
    """
    study = read_study(path)
    name = size or (next(iter(study.sizes)) if len(study.sizes) == 1 else "")
    if name not in study.sizes:
        raise ConfigurationError(f"no size {name!r}" if name else "no size named", path, f"--size: {_listed(study)}")
    chosen = study.sizes[name]
    if dataset_dir:
        study = study.model_copy(update={"dataset_dir": dataset_dir})
        chosen = chosen.model_copy(update={"phantoms": 0, "second_phantoms": 0, "positive": "", "negative": ""})
    of_file = (chosen.positive or study.positive, chosen.negative or study.negative)
    named = _named(parse_names(classes) or [], minority, of_file)
    study = study.model_copy(update=dict(zip(("positive", "negative"), named or of_file, strict=True)))
    if not study.dataset_dir and not chosen.phantoms:
        raise ConfigurationError("a study without films", path, "name a folder with --dataset-dir")
    study = study.model_copy(update={"no_patients": study.no_patients or no_patients})
    options = (*(("--classes", joined_names(named)) if named else ()), *(("--no-patients",) if no_patients else ()))
    return Design(path.stem, study, chosen, name, test_set, options)


def _named(names: list[str], minority: str, of_file: tuple[str, str]) -> tuple[str, str] | None:
    """Give the rare class and the other one that a command line names; None where it names none."""
    if not names:
        return (minority, next(name for name in reversed(of_file) if name != minority)) if minority else None
    if len(set(names)) != 2 or minority not in ("", *names):
        given = f"classes {', '.join(names)}" + (f", of which {minority} is rare" if minority else "")
        raise ConfigurationError(given, "--classes", "two, the rare one first: --classes SICK,WELL, or '\"A, B\",WELL'")
    rare = minority or names[0]
    return rare, next(name for name in names if name != rare)


def _listed(study: Study) -> str:
    return ", ".join(study.sizes)
