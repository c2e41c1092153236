"""Checkpoint files that survive a kill: written whole or not at all, verified before they are read.

A checkpoint is `epoch_NNNNNN.pt` (plain tensors and numbers only) with `epoch_NNNNNN.json` beside it, which holds its
sha256 and is written last. A file without its JSON never finished and does not count.
"""

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import torch

from monai_xr.errors import HostError, ModelError

SCHEMA = 1
logger = logging.getLogger(__name__)


class _NewerSchemaError(ModelError):
    """A checkpoint that a newer version wrote."""


def save_checkpoint(folder: Path, epoch: int, content: dict[str, Any], *, keep: int) -> Path:
    """Write one checkpoint durably, then remove all but the newest `keep`.

    Raises:
        HostError: If the disk refuses; earlier checkpoints stay as they were.
    """
    path = folder / f"epoch_{epoch:06d}.pt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_durably(path, lambda file: torch.save({"schema": SCHEMA, **content}, file))
        note = {"schema": SCHEMA, "epoch": epoch, "bytes": path.stat().st_size, "sha256": _sha256(path)}
        _write_durably(path.with_suffix(".json"), lambda file: file.write(json.dumps(note).encode()))
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise HostError(f"checkpoint could not be written ({error})", path, "free disk space, then resume") from error
    for old in _finished(folder)[keep:]:
        old.with_suffix(".json").unlink(missing_ok=True)
        old.unlink(missing_ok=True)
    return path


def newest_checkpoint(folder: Path, *, set_aside: bool = False) -> dict[str, Any] | None:
    """Read the newest checkpoint that verifies; a damaged one is named and the next one tried.

    Args:
        folder: Where checkpoints are.
        set_aside: Whether damaged ones are renamed to `.corrupt`; only the training that owns the folder may.

    Returns:
        The content as saved, tensors on the CPU, or None if the folder holds no finished checkpoint.

    Raises:
        ModelError: If there are checkpoints and none verifies, or one is of a newer version and so not damaged.
    """
    candidates = _finished(folder)
    for path in candidates:
        try:
            return read_checkpoint(path)
        except _NewerSchemaError:
            raise
        except ModelError as error:
            logger.warning("%s; trying the one before it", error)
            if set_aside:
                path.rename(path.with_suffix(".pt.corrupt"))
    if candidates or any(folder.glob("*.corrupt")):
        raise ModelError("no checkpoint verifies", folder, "start anew with --resume false")
    return None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read one checkpoint file after checking its sha256, which is added to the content; code in it is never run.

    Raises:
        ModelError: If it is missing, damaged, of a newer schema, or holds more than plain tensors and numbers.
    """
    try:
        note = json.loads(path.with_suffix(".json").read_text())
        if _sha256(path) != note["sha256"]:
            raise ModelError("checkpoint is damaged (its sha256 differs)", path, "use an older one")
        if note["schema"] > SCHEMA:
            raise _NewerSchemaError(f"checkpoint has schema {note['schema']}, this version reads up to {SCHEMA}", path)
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except ModelError:
        raise
    except Exception as error:  # whatever a foreign file makes json, zip or the unpickler raise
        raise ModelError(f"checkpoint cannot be read ({type(error).__name__})", path, "use an older one") from error
    return {**content, "sha256": note["sha256"]}


def _finished(folder: Path) -> list[Path]:
    """Checkpoints whose JSON exists, newest first."""
    return sorted((p for p in folder.glob("epoch_*.pt") if p.with_suffix(".json").exists()), reverse=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_durably(path: Path, write: Any) -> None:
    """Call `write` on a temporary file beside `path`, force it to disk, then give it its name."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
