"""Films of two classes in three splits, and the tables that studies of them write."""

import csv
from pathlib import Path

import numpy as np
import torch

from monai_xr.data.images.png import write_png

SPLITS = ("train", "val", "test")


def films(folder: Path, *, patients: bool = True) -> Path:
    """Two classes of smooth images, the second darker, in three splits."""
    folder.mkdir()
    rows = []
    for place, (label, split) in enumerate((label, split) for label in ("A", "B") for split in SPLITS):
        coarse = torch.rand(24, 1, 5, 5, generator=torch.Generator().manual_seed(place))
        smooth = torch.nn.functional.interpolate(coarse, (32, 32), mode="bicubic").clamp(0, 1)
        for index, image in enumerate(smooth[:, 0].numpy() * (1.0 if label == "A" else 0.5)):
            name = f"{label}_{split}_{index}.png"
            write_png(folder / name, image.astype(np.float32), {})
            rows.append([name, label, f"{label}{split}{index}" if patients else "", split])
    with (folder / "manifest.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["image", "label", "patient_id", "split"], *rows])
    return folder


def table(page: str) -> dict[str, list[str]]:
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("|")]
    return {cells[0]: cells[1:] for cells in lines}
