"""The command line of an app without Holoscan: `python DIR/app --plain -i IN -o OUT -m MODELS`."""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from monai_xr.deploy.core.results import StudyResult
from monai_xr.errors import InputDataError

ACCEPT_PHANTOMS = "MONAI_XR_ACCEPT_PHANTOMS"
RECORDS = "MONAI_XR_RECORDS"
_MOST_TOLD = 20


def main(arguments: Sequence[str]) -> None:
    """Judge all studies of a folder and tell them, a line a film.

    Raises:
        InputDataError: There is no study to tell anything of.
        ModelError: The model is not the one that was exported.
        HostError: Results cannot be written.
    """
    given = _parser().parse_args(arguments)
    if not given.input.exists():
        raise InputDataError("no such folder", given.input, "name the folder of a study with -i")
    from monai_xr.deploy.core.film_record import noted
    from monai_xr.deploy.core.model import load_model
    from monai_xr.deploy.core.running import run_folder

    model = load_model(given.model)
    results = run_folder(given.input, model, given.output, accept_phantoms=given.accept_phantoms)
    tell(noted(results, given.records), given.input)


def tell(results: Iterable[StudyResult], source: Path) -> None:
    """Print a line a film and a line a file that was not processed.

    Raises:
        InputDataError: No study is among the results.
    """
    studies, reasons = 0, []
    for result in results:
        studies += bool(result.study)
        for film in result.films:
            told = [f"{each.name} {each.probability:.3f} {each.decision}" for each in film.findings]
            told += [f"anomaly score {film.score:.4g}"] if film.score is not None else []
            _say(f"{film.instance.path.name}: {', '.join(told)}")
        for each in result.not_processed[:_MOST_TOLD]:
            _say(f"{each.file}: not processed: {each.reason}")
        reasons += [each.reason for each in result.not_processed]
    if not studies:
        found = f"no study ({reasons[0]})" if reasons else "no file in it"
        raise InputDataError(found, source, "give DICOM files of a chest radiograph")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="app --plain", description="Judges chest radiographs. For research only.")
    for name, default in (("input", "input"), ("output", "output"), ("model", "models")):
        usual = os.environ.get(f"HOLOSCAN_{name.upper()}_PATH", default)
        parser.add_argument(f"-{name[0]}", f"--{name}", type=Path, default=Path(usual))
    told = "add statistics of each film, which name nobody, to this file"
    parser.add_argument("--records", type=Path, default=records_file(), help=told)
    parser.add_argument("--accept-phantoms", action="store_true", default=phantoms_accepted())
    return parser


def phantoms_accepted() -> bool:
    """Whether the environment lets phantoms stand for films of patients."""
    return os.environ.get(ACCEPT_PHANTOMS, "").lower() in ("1", "true", "yes")


def records_file() -> Path | None:
    """The file that the environment names for the statistics of films, if any."""
    named = os.environ.get(RECORDS, "")
    return Path(named) if named else None


def _say(line: str) -> None:
    print(line, file=sys.stdout)  # noqa: T201
