"""Tells what another person needs to repeat this run: versions, commit, machine. No host or user name."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import monai_xr

_PACKAGES = (
    "torch", "monai", "pytorch-ignite", "numpy", "scipy", "numba", "opencv-python-headless", "pillow", "pydicom",
    "imagecodecs", "pyjpegls", "pylibjpeg-openjpeg", "pylibjpeg-rle", "timm", "torchmetrics", "mlflow",
)  # fmt: skip


def provenance() -> dict[str, str]:
    """Give version, commit, machine and time as short texts."""
    import torch

    return {
        "monai_xr": monai_xr.__version__,
        "commit": commit(),
        "torch, MONAI": f"{torch.__version__}, {metadata.version('monai')}",
        "Python": platform.python_version(),
        "machine": machine(),
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def package_versions() -> dict[str, str]:
    """Give the versions of the packages whose change could change a result."""
    return {name: metadata.version(name) for name in _PACKAGES}


def commit() -> str:
    """Give the commit of the checkout that the package runs from, marked where files differ from it."""
    root = Path(monai_xr.__file__).parents[1]
    command = ["git", "-C", str(root), "describe", "--always", "--dirty=, with changes", "--abbrev=12", "--exclude=*"]
    try:
        if not (root / ".git").exists():  # installed: an enclosing repository, if any, is not ours
            return "unknown: not run from a checkout"
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown: git does not answer"


def machine() -> str:
    """Give system, processor kind and count, and the accelerator where there is one."""
    import torch  # what asks for the commit alone does without

    parts = [platform.system(), platform.machine(), f"{os.cpu_count()} CPU cores"]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return ", ".join(parts)
