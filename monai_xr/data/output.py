"""Text in, a whole file or none out."""

import os
import tempfile
from pathlib import Path

from monai_xr.errors import HostError


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part; missing folders are made.

    Raises:
        HostError: The folder cannot be made or written to, or the disk is full.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8", newline="\n"
        ) as stream:
            temporary = stream.name
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    except OSError as failure:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise HostError(failure.strerror or str(failure), path, "choose a folder that can be written to") from failure
