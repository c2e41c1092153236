"""Signs, with the site's key, the hashes of an app, its test films and results; checks them: `check_acceptance`."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_xr.data.files.output import write_json
from monai_xr.data.identifiers import key_tag, signature
from monai_xr.disk import sha256_of
from monai_xr.errors import InputDataError

PAGE, RESULT, RECORD = "report.html", "measures.json", "acceptance.json"


@dataclass(frozen=True)
class Signed:
    """What was tried on what, as SHA-256 by name."""

    inputs: Mapping[str, str]

    def finish(self, output: Path) -> None:
        """Write the signed record beside the results in a folder."""
        content = {**self.inputs, **_results(output), "site_key": key_tag()}
        write_json(output / RECORD, {**content, "signature": _signed(content)})


def sign(app: Path, films: Sequence[Path], labels: Sequence[str]) -> Signed:
    """Hash an app, and films with their labels in any order."""
    pairs = sorted(f"{_sha256(film)} {label}" for film, label in zip(films, labels, strict=True))
    files = sorted(path for path in app.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    held = [f"{_sha256(path)} {path.relative_to(app).as_posix()}" for path in files]
    return Signed({"app_sha256": _of_lines(held), "films_and_labels_sha256": _of_lines(pairs)})


def check_acceptance(output: Path, now: Signed) -> None:
    """Compare a signed record with the app, films and results that are there now.

    Raises:
        InputDataError: No record, one that was not signed with this site's key, or something has changed since.
    """
    try:
        content = json.loads((output / RECORD).read_bytes())
        given = content.pop("signature")
    except (OSError, ValueError, KeyError, AttributeError):
        raise InputDataError("no signed acceptance", output / RECORD, "accept the app first") from None
    if given != _signed(content):
        raise InputDataError("not signed with the key of this site", output / RECORD, "accept the app here")
    found = {**now.inputs, **_results(output)}
    if changed := [name.removesuffix("_sha256") for name, each in found.items() if content.get(name) != each]:
        raise InputDataError(f"changed since: {', '.join(changed)}", output / RECORD, "accept the app again")


def _results(output: Path) -> dict[str, str]:
    return {"result_sha256": _sha256(output / RESULT), "page_sha256": _sha256(output / PAGE)}


def _signed(content: Mapping[str, str]) -> str:
    return signature(json.dumps(content, sort_keys=True))


def _of_lines(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise InputDataError(f"cannot be read ({error.strerror})", path, "check that it is there") from None
