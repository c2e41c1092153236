"""Logistic regression on features of the frozen ImageNet network of the extra `features`.

The bar that synthetic films must pass: it needs no training of a network. The origin of the network's training is not
stated, see `monai_xr.networks.lite0`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from monai_xr.disk import host_trouble, make_folder, whole_file
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.metrics import FeatureSpace, lite0_space
from monai_xr.networks.lite0 import SHA256
from monai_xr.settings import parse_flag, parse_number

Array = npt.NDArray[Any]
_AT_ONCE = 8  # images; larger batches are slower on a CPU
WAY_OUT = "pip install 'monai-xr[features]'"


@dataclass(frozen=True)
class LinearProbe:
    """A linear layer on features: `features @ weight.T + bias` are logits (N, C)."""

    weight: Array  # (C, d)
    bias: Array  # (C,)

    def probabilities(self, features: Array) -> Array:
        """Give the probability of each class, (N, C)."""
        logits = features @ self.weight.T + self.bias
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True))


def frozen_features(
    images: Iterable[Array], *, cache_dir: str | Path | None = None, device: str | torch.device = "cpu"
) -> npt.NDArray[np.float32]:
    """Give the 1280 features of each image, (N, 1280), by the network of `lite0_space`.

    Args:
        images: Each (H, W) or (1, H, W): floating in [0, 1], or whole levels of 8 or 16 bits. They are resized to 224.
        cache_dir: Folder that keeps the features by the digest of the pixels; none are computed twice.
        device: Where the network runs.
    """
    found = _Kept(Path(cache_dir) if cache_dir is not None else None)
    order: list[str] = []
    levels = _as_levels(images)
    while batch := list(islice(levels, _AT_ONCE)):
        digests = [_digest(each) for each in batch]
        order += digests
        new = {key: each for key, each in zip(digests, batch, strict=True) if key not in found.known}
        for shape in {each.shape for each in new.values()}:
            found.add({key: each for key, each in new.items() if each.shape == shape}, _space(str(device)))
    found.write()
    if not order:
        raise InputDataError("no images", "frozen features", "give some")
    return np.stack([found.known[key] for key in order])


def linear_probe(features: Array, labels: Sequence[int] | Array, *, classes: int = 2, c: float = 0.01) -> LinearProbe:
    """Fit a logistic regression whose classes weigh the same however many films they have (scikit-learn).

    Args:
        features: (N, d), as they are.
        labels: Place of the class of each, (N,).
        classes: How many there are.
        c: Inverse strength of the penalty on the weights.

    Raises:
        ConfigurationError: The extra is not installed.
        InputDataError: A class without film.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise ConfigurationError("scikit-learn is not installed", "linear probe", WAY_OUT) from None
    places = np.asarray(labels)
    if len(missing := sorted(set(range(classes)) - set(places.tolist()))):
        raise InputDataError(f"no film of class {missing[0]}", "linear probe", "give films of every class")
    fitted = LogisticRegression(C=float(c), class_weight="balanced", max_iter=5000).fit(features, places)
    weight, bias = fitted.coef_, fitted.intercept_
    if classes == 2:  # one row, of the second class over the first
        weight, bias = (np.concatenate([-each / 2, each / 2]) for each in (weight, bias))
    return LinearProbe(weight, bias)


def fit_head(features: Array, targets: Array, *, multi_label: Any = False, c: Any = 0.01) -> LinearProbe:
    """Fit the head of `ProbeEngine`: a linear probe, or one for each finding on the films where it is known.

    Args:
        features: (N, d).
        targets: (N, C); NaN is unknown.
        multi_label: Whether a film may have several findings.
        c: See `linear_probe`.
    """
    if not (strength := parse_number(c, "c")):
        raise ConfigurationError("a penalty without end", "c", "a number above 0")
    if not parse_flag(multi_label, "multi_label"):
        return linear_probe(features, targets.argmax(1), classes=targets.shape[1], c=strength)
    known = np.isfinite(targets)
    each = [linear_probe(features[of], targets[of, place].astype(int), c=strength) for place, of in enumerate(known.T)]
    weight, bias = (np.stack([2 * getattr(one, name)[1] for one in each]) for name in ("weight", "bias"))
    return LinearProbe(weight, bias)


class _Kept:
    """Features by digest, of this call and of earlier ones in the same folder, which hold a file a call."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.known: dict[str, Array] = {}
        self.new: dict[str, Array] = {}
        for path in sorted(folder.glob(f"lite0-{SHA256[:8]}-*.npz")) if folder else ():
            with np.load(path) as held:
                self.known |= dict(zip(held["digests"].tolist(), held["features"], strict=True))

    def add(self, images: dict[str, Array], space: FeatureSpace) -> None:
        found = space(torch.from_numpy(np.stack(list(images.values()))[:, None])).numpy()
        self.new |= dict(zip(images, found, strict=True))
        self.known |= self.new

    def write(self) -> None:
        if self.folder is None or not self.new:
            return
        name = blake2b("".join(self.new).encode(), digest_size=8).hexdigest()
        path = make_folder(self.folder) / f"lite0-{SHA256[:8]}-{name}.npz"
        with host_trouble(path), whole_file(path) as file:
            np.savez(file, digests=np.array(list(self.new)), features=np.stack(list(self.new.values())))


def _as_levels(images: Iterable[Array]) -> Iterator[npt.NDArray[np.float32]]:
    for each in images:
        scale = np.iinfo(each.dtype).max if np.issubdtype(each.dtype, np.integer) else 1
        yield np.ascontiguousarray(each.reshape(each.shape[-2:]) / np.float32(scale), np.float32)


def _digest(image: Array) -> str:
    return blake2b(image.data, digest_size=16, key=repr(image.shape).encode()).hexdigest()


@lru_cache(1)
def _space(device: str) -> FeatureSpace:
    return lite0_space(device=device)
