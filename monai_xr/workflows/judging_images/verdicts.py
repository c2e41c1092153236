"""Gives likeness, distances and repeats of images as table rows, each with a verdict in plain words.

The rule of the paper of AIIN (2309.12245), a class has collapsed if its synthetic images are more alike than its real
ones, has a row of its own. It calls real films of other patients collapsed as well, so the verdict is on what synthetic
images have beyond other real films.
"""

from collections import Counter
from collections.abc import Mapping

from torch import Tensor

from monai_xr.metrics import KernelDistance, PairSimilarity
from monai_xr.metrics.floor import Floored
from monai_xr.metrics.intervals import Interval, quantile
from monai_xr.metrics.measures import Finding, Measure, number_text

_CALLED = {
    "synthetic": "synthetic images",
    "real": "the real images compared with",
    "held-out": "other real images, held out",
}
_STRAY_REPEATS = 0.01
_BIAS_LEFT = 0.2  # of the distance of real to real images, after extrapolation


def likeness_rows(likeness: Mapping[str, PairSimilarity]) -> list[Measure]:
    """Give the gap in MS-SSIM by the paper's rule, what of it other real films do not have, and MS-SSIM of each set.

    Synthetic images stand beside the held-out films where there are such: that is what other real films give.
    """
    synthetic, real, held_out = likeness["synthetic"], likeness["real"], likeness.get("held-out")
    between_reals = held_out.mean - real.mean if held_out else None
    title = "Gap in MS-SSIM, synthetic minus real (the rule of arXiv 2309.12245)"
    rows = [gap_row("ms_ssim_gap", title, synthetic, real, baseline=between_reals)]
    rows.append(excess_row(synthetic, held_out or real))
    scale = "How alike its images are to one another: 0 unrelated, 1 the same."
    for name, found in likeness.items():
        title = f"MS-SSIM of {_CALLED[name]}"
        baseline = (held_out or real).mean if found is synthetic else None
        key = f"ms_ssim_{name.replace('-', '_')}"
        rows.append(Measure(key, title, found.mean, found.interval, baseline, scale))
    return rows


def excess_row(synthetic: PairSimilarity, others: PairSimilarity) -> Measure:
    """Give how much more alike the synthetic images are than other real films.

    It is (synthetic - training) - (held-out - training), in which the training films cancel. The smallest difference
    that matters is the largest that two halves of the patients of the other films have in 95 of 100 splits, and the
    baseline of the row.
    """
    excess = synthetic.mean - others.mean
    interval = _gap_interval(excess, synthetic, others)
    matters = None if others.standard_error is None else quantile() * 2 * others.standard_error
    title = "MS-SSIM beyond that of other real films"
    verdict, finding = _excess_verdict(excess, interval, matters)
    return Measure("ms_ssim_excess", title, excess, interval, matters, verdict, finding, signed=True)


def _excess_verdict(excess: float, interval: Interval | None, matters: float | None) -> tuple[str, Finding]:
    if matters is None:
        return "The other real films are all alike: nothing to compare with.", "none"
    if interval is None:
        found: Finding = "bad" if excess > matters else "open"
        return "The synthetic images do not differ from one another, so there is no interval.", found
    least = f"{number_text(matters)}, as two halves of the real patients differ by chance"
    if interval[0] > 0 and excess > matters:
        return f"More alike than other real films are, by more than {least}.", "bad"
    if interval[1] < matters:
        return f"Not more alike than other real films, or by less than {least}.", "fine"
    return f"More images would tell whether they are more alike than other real films by more than {least}.", "open"


def gap_row(
    name: str, title: str, synthetic: PairSimilarity, real: PairSimilarity, *, baseline: float | None = None
) -> Measure:
    """Give the difference of two mean likenesses with the verdict of the paper's rule."""
    gap = synthetic.mean - real.mean
    interval = _gap_interval(gap, synthetic, real)
    verdict, finding = _collapse_verdict(gap, interval)
    return Measure(name, title, gap, interval, baseline, verdict, finding, signed=True)


def _gap_interval(gap: float, synthetic: PairSimilarity, real: PairSimilarity) -> Interval | None:
    if synthetic.standard_error is None or real.standard_error is None:
        return None
    error = (synthetic.standard_error**2 + real.standard_error**2) ** 0.5
    reach = error * quantile(min(synthetic.patients, real.patients) - 1)
    return gap - reach, gap + reach


def _collapse_verdict(gap: float, interval: Interval | None) -> tuple[str, Finding]:
    if gap > 0 and interval is None:
        return "Synthetic images are more alike than real ones: collapse by the AIIN paper's rule. No interval.", "bad"
    if interval is None:
        return "Synthetic images are not more alike than real ones. The gap has no interval.", "open"
    low, high = interval
    if low > 0:
        return (
            "Synthetic images are more alike than real ones: mode collapse by the AIIN paper's rule.",
            "bad",
        )
    if high < 0:
        return (
            "Synthetic images are less alike than real ones: no collapse by the AIIN paper's rule. "
            "Noise also looks like this, so look at the images.",
            "fine",
        )
    side = "collapse" if gap > 0 else "no collapse"
    return f"By the AIIN paper's rule {side}, but the interval holds 0: these sets do not decide it.", "open"


def distance_rows(found: Mapping[str, Floored], limit: Floored | None, space: str) -> list[Measure]:
    """Give the Frechet distance beside its floor, their ratio, and the distance without the bias of the count.

    Args:
        found: Has the distance as "fid".
        limit: The extrapolated one; None where there are too few images.
        space: Goes into the names.
    """
    distance = found["fid"]
    name = f"fid_{count_text(distance.count)}_{space}"
    title = "Fréchet distance to the real images"
    says = f"Lower is closer. {distance.count} images a side, {space} features: compare only with the same."
    ratio = Measure(
        f"{name}_over_floor",
        "Fréchet distance, over that of other real images",
        distance.ratio,
        distance.ratio_interval,
        None if distance.ratio is None else 1.0,
        *_ratio_verdict(distance),
    )
    return [
        Measure(name, title, distance.value, distance.interval, distance.floor, says),
        ratio,
        _limit_row(limit, distance.floor, space),
    ]


def _limit_row(limit: Floored | None, floor: float | None, space: str) -> Measure:
    """Give the extrapolated distance, unless that of other real images, which should be 0, shows that it fails."""
    title = "Fréchet distance, extrapolated to endless images"
    if limit is None:
        return Measure(f"fid_infinity_{space}", title, None, verdict="Too few images to extrapolate from.")
    name = f"fid_infinity_{count_text(limit.count)}_{space}"
    if limit.floor is not None and floor and abs(limit.floor) > _BIAS_LEFT * floor:
        left = f"For other real images {limit.floor / floor:.0%} of the distance is left, where 0 should be"
        return Measure(name, title, None, None, limit.floor, f"{left}: not to be used in this space at this count.")
    says = "Without the bias of the count: about 0 for other real images, and at times below."
    return Measure(name, title, limit.value, None, limit.floor, says)


def _ratio_verdict(distance: Floored) -> tuple[str, Finding]:
    if distance.floor is None:
        return "Too few real images, or patients, to measure real against real.", "none"
    if distance.ratio is None:
        return "The real images are all the same: there is no distance of real to real.", "none"
    low = distance.ratio if distance.ratio_interval is None else distance.ratio_interval[0]
    if low <= 1:
        return "At this count and in this space not told apart from other real images.", "fine"
    return f"{distance.ratio:.3g} times as far from the real images as other real images are.", "none"


def kernel_rows(
    synthetic: KernelDistance,
    floor: KernelDistance | None,
    beyond: KernelDistance | None,
    noise: KernelDistance,
    space: str,
) -> list[Measure]:
    """Give the kernel distance to the real images of the synthetic ones, of other real ones and of uniform noise.

    Args:
        synthetic: Distance of the synthetic images.
        floor: Of other real images.
        beyond: How much farther the synthetic ones are, with the interval of that difference.
        noise: Of images with no content.
        space: Goes into the names.
    """
    rows = [
        Measure(
            f"kid_{count_text(synthetic.count)}_{space}",
            "Kernel distance (KID) to the real images",
            synthetic.value,
            synthetic.interval,
            floor.value if floor else None,
            *_kernel_verdict(synthetic, beyond, noise),
        )
    ]
    if floor and beyond:
        name = f"kid_{count_text(beyond.count)}_{space}_beyond_real"
        title = "Kernel distance beyond that of other real images"
        rows.append(
            Measure(name, title, beyond.value, beyond.interval, 0.0, "Their difference, with its own interval.")
        )
        title = "Kernel distance of other real images"
        says = "The floor: about 0 for images of one population, and at times below."
        rows.append(
            Measure(f"kid_{count_text(floor.count)}_{space}_real", title, floor.value, floor.interval, None, says)
        )
    title, says = "Kernel distance of uniform 8-bit noise", "How far images with no content at all are."
    rows.append(Measure(f"kid_{count_text(noise.count)}_{space}_noise", title, noise.value, noise.interval, None, says))
    return rows


def _kernel_verdict(
    synthetic: KernelDistance, beyond: KernelDistance | None, noise: KernelDistance
) -> tuple[str, Finding]:
    share = f"{max(synthetic.value, 0) / noise.value:.2g} of the distance of noise." if noise.value > 0 else ""
    if beyond is None or beyond.interval is None:
        return share, "none"
    if beyond.interval[0] <= 0:
        return f"Not told apart from other real images. {share}", "fine"
    return f"Further from the real images than other real images are. {share}", "none"


def count_text(count: int) -> str:
    """Write a count as names of measures do: 234, 1340, 5k."""
    return f"{count // 1000}k" if count >= 1000 and count % 1000 == 0 else str(count)


def repeats_row(sets: Mapping[str, Tensor]) -> Measure:
    """Give the share of synthetic images that are, in 8 bits, exact copies of another synthetic image.

    Pairs drawn at random seldom meet when a generator knows a few dozen images, so MS-SSIM can miss that collapse.
    """
    shares = {name: _share_of_repeats(sets[name]) for name in ("synthetic", "real")}
    share = shares["synthetic"]
    title = "Share of exact repeats"
    verdict = (
        f"{share:.1%} of the synthetic images repeat another one." if share else "No synthetic image occurs twice."
    )
    finding: Finding = "bad" if share > shares["real"] + _STRAY_REPEATS else "none"
    return Measure("repeats_synthetic", title, share, None, shares["real"], verdict, finding)


def _share_of_repeats(images: Tensor) -> float:
    pixels = (images * 255).round().byte().cpu().numpy()
    copies = Counter(image.tobytes() for image in pixels)
    return 1 - len(copies) / len(images)
