"""Checkpoint files that survive a kill: written whole or not at all, verified before they are read.

A checkpoint is `epoch_NNNNNN.pt` (plain tensors and numbers only) with `epoch_NNNNNN.json` beside it, which holds its
sha256 and is written last. A file without its JSON never finished and does not count. One from within an epoch is named
after the epochs that were done and the iterations after them: `epoch_000003_plus_000120.pt`.
"""

import hashlib
import io
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_xr.data.files.output import write_bytes, write_text
from monai_xr.errors import HostError, ModelError

SCHEMA = 2  # 1 knew epoch borders only
logger = logging.getLogger(__name__)


class _NewerSchemaError(ModelError):
    """A checkpoint that a newer version wrote."""


def checkpoint_name(epoch: int, iterations: int = 0) -> str:
    """Name of the checkpoint after `epoch` whole epochs and `iterations` of the next."""
    return f"epoch_{epoch:06d}{f'_plus_{iterations:06d}' if iterations else ''}.pt"


def save_checkpoint(folder: Path, epoch: int, content: dict[str, Any], *, keep: int, iterations: int = 0) -> Path:
    """Write one checkpoint durably, then remove all but the newest `keep`; where the disk refuses, all stay."""
    path = write_checkpoint(folder / checkpoint_name(epoch, iterations), epoch, content)
    for old in _finished(folder)[keep:]:
        old.with_suffix(".json").unlink(missing_ok=True)
        old.unlink(missing_ok=True)
    return path


def write_checkpoint(path: Path, epoch: int, content: dict[str, Any]) -> Path:
    """Write one checkpoint durably, in place of any other of this name; where the disk refuses there is none."""
    path.with_suffix(".json").unlink(missing_ok=True)
    buffer = io.BytesIO()
    torch.save(_plain({"schema": SCHEMA, **content}), buffer)
    data = buffer.getbuffer()
    note = {"schema": SCHEMA, "epoch": epoch, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    try:
        write_bytes(path, data)
        write_text(path.with_suffix(".json"), json.dumps(note))
    except HostError:
        path.unlink(missing_ok=True)
        raise
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


def find_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint file, or the newest one in a folder that verifies.

    Raises:
        ModelError: If there is none, or none verifies.
    """
    content = read_checkpoint(path) if path.is_file() else newest_checkpoint(path)
    if content is None:
        raise ModelError("no checkpoint found", path, "train first, or set output_dir to the folder of a training")
    return content


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read one checkpoint file after checking its sha256; code in it is never run.

    Returns:
        The content as saved, with the file's `sha256` and `name`.

    Raises:
        ModelError: If it is missing, damaged, of a newer schema, or holds more than plain tensors and numbers.
    """
    try:
        note = json.loads(path.with_suffix(".json").read_text())
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != note["sha256"]:
            raise ModelError("checkpoint is damaged (its sha256 differs)", path, "use an older one")
        if note["schema"] > SCHEMA:
            raise _NewerSchemaError(f"checkpoint has schema {note['schema']}, this version reads up to {SCHEMA}", path)
        content: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except ModelError:
        raise
    except Exception as error:  # whatever a foreign file makes json, zip or the unpickler raise
        raise ModelError(f"checkpoint cannot be read ({type(error).__name__})", path, "use an older one") from error
    return {**content, "sha256": note["sha256"], "name": path.name}


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed training was writing; only the training that owns the folder may."""
    for part in folder.glob(".epoch_*"):
        part.unlink(missing_ok=True)
    for path in folder.glob("epoch_*.pt"):
        if not path.with_suffix(".json").exists():
            path.unlink(missing_ok=True)


def _finished(folder: Path) -> list[Path]:
    """Checkpoints whose JSON exists, newest first."""
    found = (path for path in folder.glob("epoch_*.pt") if path.with_suffix(".json").exists())
    return sorted(found, key=lambda path: path.stem, reverse=True)


def _plain(value: Any) -> Any:
    """Turn numpy's numbers, which would make the file unreadable, into Python's."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(one) for one in value) if type(value) in (list, tuple) else value
    return value.item() if isinstance(value, np.generic) else value
