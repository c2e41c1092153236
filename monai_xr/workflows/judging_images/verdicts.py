"""Measured numbers in, table rows with a verdict in plain words out.

The rule on collapse is that of the paper of AIIN (2309.12245): a class has collapsed if its synthetic images are more
alike than its real ones. Here a gap whose interval holds 0 is called undecided.
"""

from collections import Counter
from collections.abc import Mapping

from scipy import stats
from torch import Tensor

from monai_xr.metrics import KernelDistance, PairSimilarity
from monai_xr.metrics.floor import Floored
from monai_xr.metrics.intervals import Interval
from monai_xr.metrics.measures import Finding, Measure

_FAR = 3.0  # times the real-to-real distance; trainings that differ in their seed alone lie up to about this far apart
_STRAY_REPEATS = 0.01


def likeness_rows(likeness: Mapping[str, PairSimilarity]) -> list[Measure]:
    """Give MS-SSIM of each set, by name of the set, and the gap of the synthetic set to each other one."""
    synthetic, real, held_out = likeness["synthetic"], likeness["real"], likeness.get("held-out")
    between_reals = held_out.mean - real.mean if held_out else None
    rows = [gap_row("ms_ssim_gap", "Gap in MS-SSIM, synthetic minus real", synthetic, real, baseline=between_reals)]
    if held_out:
        title = "Gap in MS-SSIM, synthetic minus held-out real"
        rows.append(gap_row("ms_ssim_gap_held_out", title, synthetic, held_out))
    scale = "How alike its images are to one another: 0 unrelated, 1 the same."
    for name, found in likeness.items():
        title = f"MS-SSIM of {name} images"
        baseline = real.mean if found is synthetic else None
        key = f"ms_ssim_{name.replace('-', '_')}"
        rows.append(Measure(key, title, found.mean, found.interval, baseline, scale))
    return rows


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
    reach = error * float(stats.t.ppf(0.975, min(synthetic.images, real.images) - 1))
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


def distance_rows(found: Mapping[str, Floored], space: str) -> list[Measure]:
    """Give the Frechet distance beside its floor, their ratio, and the distance without the bias of the count."""
    distance = found["fid"]
    name = f"fid_{count_text(distance.count)}_{space}"
    title = "Fréchet distance to the real images"
    says = f"Lower is closer. {distance.count} images a side, {space} features: compare only with the same."
    ratio = Measure(
        f"{name}_over_floor",
        "The same, over the real-to-real distance",
        distance.ratio,
        distance.ratio_interval,
        None if distance.ratio is None else 1.0,
        *_ratio_verdict(distance),
    )
    return [
        Measure(name, title, distance.value, distance.interval, distance.floor, says),
        ratio,
        _limit_row(found, space),
    ]


def _limit_row(found: Mapping[str, Floored], space: str) -> Measure:
    title = "Fréchet distance, extrapolated to endless images"
    limit = found.get("fid_infinity")
    if limit is None:
        return Measure(f"fid_infinity_{space}", title, None, verdict="Too few images to extrapolate from.")
    says = "Without the bias of the count: about 0 for other real images, and at times below."
    name = f"fid_infinity_{count_text(limit.count)}_{space}"
    return Measure(name, title, limit.value, limit.interval, limit.floor, says)


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
    synthetic: KernelDistance, floor: KernelDistance | None, noise: KernelDistance, space: str
) -> list[Measure]:
    """Give the kernel distance to the real images of the synthetic ones, of other real ones and of uniform noise."""
    rows = [
        Measure(
            f"kid_{count_text(synthetic.count)}_{space}",
            "Kernel distance (KID) to the real images",
            synthetic.value,
            synthetic.interval,
            floor.value if floor else None,
            *_kernel_verdict(synthetic, floor, noise),
        )
    ]
    if floor:
        title = "Kernel distance of other real images"
        says = "The floor: about 0 for images of one population, and at times below."
        rows.append(
            Measure(f"kid_{count_text(floor.count)}_{space}_real", title, floor.value, floor.interval, None, says)
        )
    title, says = "Kernel distance of uniform 8-bit noise", "How far images with no content at all are."
    rows.append(Measure(f"kid_{count_text(noise.count)}_{space}_noise", title, noise.value, noise.interval, None, says))
    return rows


def _kernel_verdict(
    synthetic: KernelDistance, floor: KernelDistance | None, noise: KernelDistance
) -> tuple[str, Finding]:
    share = f"{max(synthetic.value, 0) / noise.value:.2g} of the distance of noise." if noise.value > 0 else ""
    if floor is None or synthetic.interval is None or floor.interval is None:
        return share, "none"
    if synthetic.interval[0] <= floor.interval[1]:
        return f"Not told apart from other real images. {share}", "fine"
    return f"Further from the real images than other real images are. {share}", "none"


def headline(rows: Mapping[str, Measure]) -> tuple[str, str, Finding]:
    """Give what the measures together say: in two or three words, as sentences, and as a finding.

    The rule on collapse alone would praise noise, which is never alike, and a few images given out again and again,
    which random pairs seldom meet. So repeats count as collapse, and a set far from the real one, or nearer to its
    training images than other patients' films are, is not called fine.
    """
    gap, repeats = rows["ms_ssim_gap"], rows["repeats_synthetic"]
    if repeats.finding == "bad":
        return "Collapse", f"{repeats.verdict} {gap.verdict}", "bad"
    if gap.finding == "bad":
        return "Collapse", gap.verdict, "bad"
    for name, row in rows.items():
        if name.startswith("near_training") and row.finding == "bad":
            return "Too near to training images", row.verdict, "bad"
    ratio = next(row for name, row in rows.items() if name.endswith("_over_floor"))
    if ratio.value is not None and (ratio.interval[0] if ratio.interval else ratio.value) > _FAR:
        return "Far from the real images", f"They are {ratio.verdict} {gap.verdict}", "open"
    return ("No collapse seen" if gap.finding == "fine" else "Undecided"), gap.verdict, gap.finding


def summary_text(rows: Mapping[str, Measure]) -> str:
    """Give the numbers behind the verdict: both likenesses, their gap, and the distance beside its floor."""
    gap = rows["ms_ssim_gap"]
    likeness = (
        f"MS-SSIM is {rows['ms_ssim_synthetic'].value_text} among synthetic and {rows['ms_ssim_real'].value_text} "
        f"among real images, a gap of {gap.value_text} (95 % interval {gap.interval_text})."
    )
    ratio = next(row for name, row in rows.items() if name.endswith("_over_floor"))
    if ratio.value is None:
        return likeness
    return f"{likeness} The Fréchet distance is {ratio.value_text} times that of real against real images."


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
