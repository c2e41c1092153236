"""Mixes real and generated images at a stated ratio into a training set that tells its lineage: `mix`.

Each epoch has every real image once and a fresh draw of generated ones. Seed and epoch alone decide the draw and the
order, so that neither the number of workers nor a resumed run changes them. Generated images go into train alone.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_xr.data.pixel_store.pixel_cache import PixelCache
from monai_xr.errors import ConfigurationError, InputDataError


@dataclass(frozen=True)
class Mixture:
    """Real and generated images of one training.

    Args:
        wanted: How many generated images of each class an epoch has.
    """

    real: PixelCache
    generated: PixelCache
    wanted: Mapping[str, int]
    seed: int

    def __len__(self) -> int:
        return len(self.real) + sum(self.wanted.values())

    def epoch(self, number: int) -> npt.NDArray[np.int64]:
        """Give the images of an epoch, from 0, in order: places in `real`, and behind them those in `generated`."""
        rng = np.random.default_rng([self.seed, number])
        labels = np.array([record.label for record in self.generated.records])
        drawn = [
            rng.choice(np.flatnonzero(labels == label), count, replace=False)
            for label, count in sorted(self.wanted.items())
        ]
        places = np.concatenate([np.arange(len(self.real)), *(len(self.real) + each for each in drawn)])
        return rng.permutation(places)

    def lineage(self) -> dict[str, Any]:
        """Give what a run record says: how many of each, and by which models the generated ones were made."""
        models = Counter(tuple(facts.lineage.items()) for facts in self.generated.facts)
        return {
            "real": len(self.real),
            "generated_an_epoch": dict(self.wanted),
            "generated_to_draw_from": len(self.generated),
            "seed": self.seed,
            "generators": [{**dict(model), "images": count} for model, count in models.items()],
        }


def mix(real: PixelCache, generated: PixelCache, *, ratio: float | Mapping[str, float], seed: int) -> Mixture:
    """Mix real with generated images.

    Args:
        real: Images of the split train, or of data without splits.
        generated: Images that are marked as generated, labelled with the same classes.
        ratio: Generated images for each real one; one number, or one for each class, 0 for those not named.
        seed: Of the draws and orders.

    Raises:
        ConfigurationError: A ratio that cannot be; real images of another split than train.
        InputDataError: Real images that are marked as generated, or the other way round; too few generated images.
    """
    _check_origins(real, generated)
    others = sorted({record.split for record in real.records} - {"", "train"})
    if others:
        raise ConfigurationError(f"real images of {', '.join(others)}", "split", "generated images are for train alone")
    have = Counter(record.label for record in real.records)
    ratios = dict(ratio) if isinstance(ratio, Mapping) else dict.fromkeys(have, ratio)
    if unknown := sorted(set(ratios) - set(have)):
        raise ConfigurationError(f"no real images of class {unknown[0]!r}", "ratio", f"classes: {', '.join(have)}")
    if not all(np.isfinite(share) and share >= 0 for share in ratios.values()):
        raise ConfigurationError(f"ratio {ratio}", "ratio", "0 or more generated images for each real one")
    wanted = {label: round(share * have[label]) for label, share in ratios.items()}
    found = Counter(record.label for record in generated.records)
    for label, count in wanted.items():
        if found[label] < count:
            raise InputDataError(
                f"{found[label]} generated images of class {label!r}, {count} wanted",
                generated.records.root,
                "generate more, or lower the ratio",
            )
    return Mixture(real, generated, {label: count for label, count in wanted.items() if count}, seed)


def _check_origins(real: PixelCache, generated: PixelCache) -> None:
    for cache, wanted in ((real, False), (generated, True)):
        wrong = [place for place, facts in enumerate(cache.facts) if (facts.origin == "generated") != wanted]
        if wrong:
            said = "is not marked as generated" if wanted else "is a generated image, not a film"
            raise InputDataError(f"{len(wrong)} images, the first of which {said}", cache.records[wrong[0]].image)
