"""Pictures in [0, 1] in; PNG files that carry their lineage in text chunks out."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from monai_xr.errors import ConfigurationError, HostError

MARK_KEY = "Synthetic"


def write_png(path: Path, pixels: NDArray[np.float32], text: dict[str, str], *, bits: int = 8) -> None:
    """Write a grey PNG; its pixels stay clean, the mark and lineage go into text chunks.

    Args:
        path: File to write; its folder must exist.
        pixels: (H, W) in [0, 1].
        text: Text chunks. Made-up pictures carry `Synthetic` = `phantom` or `generated`.
        bits: 8 or 16 a pixel.

    Raises:
        ConfigurationError: Another depth is asked for.
        HostError: The file cannot be written.
    """
    if bits not in (8, 16):
        raise ConfigurationError(f"PNG of {bits} bits", "bits", "8 or 16")
    levels = np.rint(np.clip(pixels, 0, 1) * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    chunks = PngImagePlugin.PngInfo()
    for key, value in text.items():
        chunks.add_itxt(key, value) if not value.isascii() else chunks.add_text(key, value)
    part = path.with_name(path.name + ".part")
    try:
        Image.fromarray(levels).save(part, format="PNG", pnginfo=chunks)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise HostError(f"cannot write: {error.strerror}", path, "check the folder and the space left") from error
