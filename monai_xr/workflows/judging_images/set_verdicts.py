"""Gives coverage, spread, classes and nearness to training images as table rows, each with a verdict."""

import math
from collections.abc import Mapping
from dataclasses import replace

from monai_xr.metrics import Memorization
from monai_xr.metrics.floor import Floored
from monai_xr.metrics.measures import Finding, Measure, number_text
from monai_xr.workflows.judging_images.verdicts import count_text

_COVERAGE = {
    "precision": "Precision: synthetic images near a real one",
    "recall": "Recall: real images near a synthetic one",
    "density": "Density: real images around a synthetic one, over those expected",
    "coverage": "Coverage: real images with a synthetic one near",
}
_ABOVE = {
    "precision": "as images that are all typical also are",
    "density": "as images that are all typical also are",
    "vendi": "as noise also is",
    "cosine_distance": "as noise also is",
}
_SPREAD = {
    "vendi": "Vendi score about the real mean: images that count as different",
    "cosine_distance": "Mean cosine distance between images, about the real mean",
}
_SHARES = ("precision", "recall", "coverage")
_MATTERS = 0.05  # of the images, below the share of other real ones
_MANY_NEAR, _EXPECTED_NEAR = 0.10, 0.05


def coverage_rows(found: Mapping[str, Floored], space: str) -> list[Measure]:
    """Give precision, recall, density and coverage, each beside that of other real images."""
    return [_share_row(name, title, found.get(name), space) for name, title in _COVERAGE.items()]


def spread_rows(found: Mapping[str, Floored], space: str) -> list[Measure]:
    """Give the Vendi score and the cosine distance, each beside that of other real images.

    Their own intervals hold the truth in 81 to 96 of 100 draws (`configs/experiments/results/coverage.md`), those of
    the difference to other real images in 90 to 98: the verdict gives the latter, and the row none.
    """
    rows = []
    for name, title in _SPREAD.items():
        each = found.get(name)
        row = _share_row(name, title, each, space)
        if each and each.gap_interval:
            low, high = (number_text(end, signed=True) for end in each.gap_interval)
            row = replace(row, verdict=f"{row.verdict} The difference is {low} to {high}.")
        rows.append(replace(row, interval=None))
    return rows


def _share_row(name: str, title: str, found: Floored | None, space: str) -> Measure:
    """Give a measure that is high for real images and low for a bad set."""
    if found is None:
        return Measure(f"{name}_{space}", title, None, verdict="Too few images for this measure.")
    key = f"{name}_{count_text(found.count)}_{space}"
    most = 1.0 if name in _SHARES else math.inf
    interval = found.interval and (max(found.interval[0], 0.0), min(found.interval[1], most))
    verdict, finding = _share_verdict(found, _ABOVE.get(name))
    if name in _SHARES and found.gap_interval and found.gap_interval[1] < 0:
        finding = "bad" if found.gap_interval[1] < -_MATTERS else "open"
    return Measure(key, title, found.value, interval, found.floor, verdict, finding)


def _share_verdict(found: Floored, above: str | None) -> tuple[str, Finding]:
    if found.floor is None:
        return "Other real images give no value to compare with.", "none"
    low, high = found.gap_interval or (found.value - found.floor,) * 2
    if low > 0:
        return "Above that of other real images" + (f", {above}." if above else "."), "none"
    if high < 0:
        times = f"{found.ratio:.2g} times" if found.ratio is not None else "Below"
        return f"{times} that of other real images.", "none"
    return "Not told apart from other real images.", "fine"


def inception_row(found: Floored, classifier: str) -> Measure:
    """Give the inception score in the classes at hand, with the rule of the AIIN paper on collapse between classes."""
    name = f"is_{count_text(found.count)}_{classifier}"
    title = "Inception score, in the classes at hand"
    return Measure(name, title, found.value, found.interval, found.floor, *_inception_verdict(found))


def _inception_verdict(found: Floored) -> tuple[str, Finding]:
    if found.floor is None or found.gap_interval is None:
        return "No interval, so the AIIN paper's rule is not applied.", "none"
    low, high = found.gap_interval
    if high < 0:
        return "Below that of real images: collapse between classes by the AIIN paper's rule.", "bad"
    if low > 0:
        return "Above that of real images: no collapse between classes by the AIIN paper's rule.", "fine"
    side = "collapse" if found.value < found.floor else "no collapse"
    return f"By the AIIN paper's rule {side} between classes, but these sets do not decide it.", "open"


def copying_rows(found: Memorization | None, space: str) -> list[Measure]:
    """Give the share of synthetic images near a training image, and the membership attack by nearness."""
    near_title = "Share nearer to a training image than 95 % of other patients' films"
    attack_title = "Membership attack by nearness, AUC"
    if found is None:
        verdict = "Needs held-out images, or patients."
        return [Measure(f"near_training_{space}", near_title, None, verdict=verdict)]
    near = Measure(
        f"near_training_{count_text(len(found.distances))}_{space}",
        near_title,
        found.share,
        found.share_interval,
        _EXPECTED_NEAR,
        *_near_verdict(found),
    )
    attack = Measure(
        f"attack_auc_{space}",
        attack_title,
        found.attack_auc,
        found.attack_interval,
        found.attack_zero,
        *_attack_verdict(found),
    )
    return [near, attack]


def _near_verdict(found: Memorization) -> tuple[str, Finding]:
    counted = f"{found.copies} images, nearest to {found.memorized} training images."
    if found.share > _MANY_NEAR and found.least_share > _EXPECTED_NEAR:
        return f"{counted} More than other patients' films: copies, or bland images near to all. See the pairs.", "bad"
    return f"{counted} Measured on this set, in this space.", "none"


def _attack_verdict(found: Memorization) -> tuple[str, Finding]:
    if found.attack_auc is None:
        return "Needs held-out images.", "none"
    if found.attack_zero is None or found.beyond_zero is None:
        return "The training images cannot be halved by patient, so the attack has no zero.", "none"
    low, high = found.beyond_zero
    between = f"{number_text(low, signed=True)} to {number_text(high, signed=True)} from its zero"
    if low > 0:
        return f"Training images are told from held-out ones by what the generator kept: {between}.", "open"
    if high < 0:
        return (
            f"Below its zero, {between}: the synthetic images lie nearer to held-out than to training images, as "
            "images unlike both can, so the attack shows nothing here and copies may hide.",
            "open",
        )
    return f"Training images are hardly told from held-out ones: {between}.", "none"
