"""Lets one training at a time write into an output folder: `alone_in_run`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monai_xr.data.files.locks import locked
from monai_xr.disk import host_trouble, make_folder
from monai_xr.errors import ConfigurationError


@contextmanager
def alone_in_run(checkpoints: Path) -> Iterator[None]:
    """Hold the lock beside a folder of checkpoints. The loader's workers, which may outlive a killed training, do not.

    Raises:
        ConfigurationError: Another process holds it.
        HostError: The lock file cannot be made.
    """
    path = make_folder(checkpoints.parent) / f".{checkpoints.name}.lock"
    refusal = ConfigurationError(
        "process {} is training into this folder", "output_dir", "wait for it, or choose another"
    )
    with host_trouble(path, "choose another output_dir"), locked(path, refusal, forks_hold=False):
        yield
