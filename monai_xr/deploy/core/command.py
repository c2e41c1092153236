"""The command line of an app without Holoscan: `python DIR/app --plain -i IN -o OUT -m MODELS`."""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from monai_xr.deploy.core.results import Instance, StudyResult
from monai_xr.dicom.deidentification.secrets import names_of_people
from monai_xr.errors import InputDataError

ACCEPT_PHANTOMS = "MONAI_XR_ACCEPT_PHANTOMS"
RECORDS = "MONAI_XR_RECORDS"
_MOST_TOLD = 20
_FOLDERS = {
    "input": ("input", "folder of DICOM studies, or one file"),
    "output": ("output", "folder for reports and pictures"),
    "model": ("models", "folder of the exported model"),
}


def main(arguments: Sequence[str]) -> None:
    """Judge all studies of a folder and tell them, a line a film.

    Raises:
        InputDataError: There is no study to tell anything of.
        ModelError: The model is not the one that was exported.
        HostError: Results or records cannot be written.
    """
    given = _checked(_parser().parse_args(arguments))
    from monai_xr.deploy.core.film_record import noted
    from monai_xr.deploy.core.model import load_model
    from monai_xr.deploy.core.study_steps import run_folder

    model = load_model(given.model)
    results = run_folder(given.input, model, given.output, accept_phantoms=given.accept_phantoms)
    tell(noted(results, given.records), given.input)


def for_monai_deploy(arguments: Sequence[str]) -> list[str]:
    """Put the options into the environment, where the graph finds them; give what is left, for MONAI Deploy itself.

    Raises:
        InputDataError: There is no such folder.
        HostError: Records cannot be written.
    """
    options, left = _parser().parse_known_args(arguments)
    given = _checked(options)
    os.environ |= {f"HOLOSCAN_{name.upper()}_PATH": str(getattr(given, name)) for name in _FOLDERS}
    os.environ |= {RECORDS: str(given.records or ""), ACCEPT_PHANTOMS: str(given.accept_phantoms)}
    return left


def tell(results: Iterable[StudyResult], source: Path) -> None:
    """Print a line a film and a line a file that was not processed, by names that name nobody.

    Raises:
        InputDataError: No study is among the results.
    """
    studies, reasons = 0, []
    for result in results:
        studies += bool(result.study)
        place = f"study {studies}" if result.study else "no study"
        for number, (instance, told) in enumerate(_told(result), start=1):
            _say(f"{shown_name(instance) or f'{place}, file {number}'}: {told}")
        reasons += [each.reason for each in result.not_processed]
    if not studies:
        found = f"no study ({reasons[0]})" if reasons else "no file in it"
        raise InputDataError(found, source, "give DICOM files of a chest radiograph")


def _told(result: StudyResult) -> Iterator[tuple[Instance | None, str]]:
    for film in result.films:
        told = [f"{each.name} {each.probability:.3f} {each.decision}" for each in film.findings]
        told += [f"anomaly score {film.score:.4g}"] if film.score is not None else []
        yield film.instance, ", ".join(told)
    for each in result.not_processed[:_MOST_TOLD]:
        yield each.instance, f"not processed: {each.reason}"


def shown_name(instance: Instance | None) -> str:
    """Give the name of a file, "" unless its header names a patient and the name does not."""
    if instance is None:
        return ""
    name = instance.path.name
    try:
        names = names_of_people(instance.header)
    except RecursionError:  # a header that is nested without end
        return ""
    numbers = re.findall(r"[0-9]+", name)
    is_known = bool(names.within or names.alone or names.numbers)
    is_safe = is_known and name.isprintable() and not names.are_in(name)
    return name if is_safe and not any(names.are_in_number(each) for each in numbers) else ""


def _checked(given: argparse.Namespace) -> argparse.Namespace:
    if not given.input.exists():
        raise InputDataError("no such folder", given.input, "name the folder of a study with -i")
    from monai_xr.deploy.core.film_record import make_records

    make_records(given.records)
    return given


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="app",
        description="Judges chest radiographs. For research only.",
        epilog="Without --plain, options of MONAI Deploy are taken, too: --log-level, --workdir.",
    )
    for name, (default, told) in _FOLDERS.items():
        usual = os.environ.get(f"HOLOSCAN_{name.upper()}_PATH", default)
        parser.add_argument(f"-{name[0]}", f"--{name}", type=Path, default=Path(usual), help=told)
    told = "add statistics of each film, which name nobody, to this file"
    parser.add_argument("--records", type=Path, default=records_file(), help=told)
    told = "judge phantoms as films of patients are judged"
    parser.add_argument("--accept-phantoms", action="store_true", default=phantoms_accepted(), help=told)
    parser.add_argument("--plain", action="store_true", help="run by ONNX Runtime alone, without MONAI Deploy")
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failure")
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
