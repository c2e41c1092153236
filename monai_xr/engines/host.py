"""What this machine offers a training: its device and the number format that is fastest there."""

from collections.abc import Iterable

import torch
from torch import nn

from monai_xr.errors import ConfigurationError

_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """Turn "auto", "cpu", "cuda" or "cuda:1" into a device that exists.

    Raises:
        ConfigurationError: If CUDA is asked for and absent, or the name means nothing.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise ConfigurationError("unknown device", str(name), "auto, cpu, cuda or cuda:N") from None
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= found:
        raise ConfigurationError(
            f"device {name} is not there, {found} CUDA devices found", "device", "use --device cpu or auto"
        )
    return device


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """Turn "auto", "float32", "bfloat16" or "float16" into the number format of autocast.

    "auto" is bfloat16 where the processor computes with it in hardware, float16 on older CUDA cards, else float32.

    Raises:
        ConfigurationError: If the name is none of these.
    """
    if name != "auto":
        if name not in _PRECISIONS:
            raise ConfigurationError("unknown precision", str(name), f"auto, {', '.join(_PRECISIONS)}")
        return _PRECISIONS[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    if device.type == "cpu" and _cpu_has_bfloat16():
        return torch.bfloat16
    return torch.float32


def _cpu_has_bfloat16() -> bool:
    return "avx512_bf16" in _cpu_flags() or "amx_bf16" in _cpu_flags()


def _cpu_flags() -> set[str]:
    """Processor flags as Linux lists them; empty where they cannot be read."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next((set(line.split()) for line in lines if line.startswith("flags")), set())
    except OSError:
        return set()


def compile_networks(networks: Iterable[nn.Module], mode: str) -> None:
    """Compile networks in place, unless the mode is "none".

    Raises:
        ConfigurationError: If the mode is not one of torch.compile nor "none".
    """
    modes = ("default", *torch._inductor.list_mode_options())
    if mode != "none" and mode not in modes:
        raise ConfigurationError(f"unknown mode {mode!r}", "compile_mode", f"none, {', '.join(modes)}")
    if mode != "none":
        for network in networks:
            network.compile(mode=mode)
