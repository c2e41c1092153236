"""All random generators of a process, as plain tensors and numbers that a checkpoint may hold."""

import random
from typing import Any

import numpy as np
import torch


def capture_random_state(sources: dict[str, torch.Generator]) -> dict[str, Any]:
    """Take the state of torch, CUDA, numpy, Python and of the given generators."""
    kind, key, position, has_gauss, gauss = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": (str(kind), torch.from_numpy(np.asarray(key, np.int64)), int(position), int(has_gauss), float(gauss)),
        "python": random.getstate(),
        "sources": {name: source.get_state() for name, source in sources.items()},
    }


def restore_random_state(state: dict[str, Any], sources: dict[str, torch.Generator]) -> None:
    """Put back what `capture_random_state` took."""
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    kind, key, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, key.numpy().astype(np.uint32), position, has_gauss, gauss))
    version, words, gauss_next = state["python"]
    random.setstate((version, tuple(words), gauss_next))
    for name, source in sources.items():
        source.set_state(state["sources"][name])
