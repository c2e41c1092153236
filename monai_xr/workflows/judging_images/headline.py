"""Rows of measures in, what they together say out: in two or three words, as sentences, and as a finding."""

from collections.abc import Mapping

from monai_xr.metrics.measures import Finding, Measure

_FAR = 3.0  # times the real-to-real distance; trainings that differ in their seed alone lie up to about this far apart
_CAVEATS = {
    "random": (
        "Distances and coverage are taken in the space of a network with random weights. It sees texture, contrast and "
        "coarse shape. It does not see findings or anatomy, nor whether a radiologist would take the images for real.",
    ),
    "own": (
        "Distances and coverage are taken in the space of a network that learned from films of this site, without "
        "labels, what two views of one film have in common. Only sets measured by the same training compare.",
    ),
    "any": (
        "Collapse is said where synthetic images are more alike than other real films and cover less of them. Images "
        "less alike than real ones can also be noise, so look at them.",
        "Intervals cover the choice of patients, not the luck of a training: another seed may move measures by more.",
        "Nearness to training images is measured on these sets and in these spaces; copies can hide from both.",
        "Nothing here says whether synthetic images help a classifier.",
    ),
}


def caveats(space: str) -> tuple[str, ...]:
    """Give what a reader must know beside numbers that were taken in a space."""
    return (*_CAVEATS.get(space, ()), *_CAVEATS["any"])


def headline(rows: Mapping[str, Measure]) -> tuple[str, str, Finding]:
    """Give what the measures together say: in two or three words, as sentences, and as a finding.

    Images more alike than other real films are called collapsed where recall or coverage agrees: real films of another
    source are more alike as well. Alone the rule would praise noise, which is never alike, and a few images given out
    again and again, which random pairs seldom meet. So repeats count as collapse, and a set far from the real one, or
    nearer to its training images than other patients' films are, or without a part of what real films show, is not
    called fine.
    """
    return _collapse(rows) or _distance(rows) or _likeness(rows["ms_ssim_excess"])


def _collapse(rows: Mapping[str, Measure]) -> tuple[str, str, Finding] | None:
    """Say whether the set is a part of the real images, again and again, or nearly its training images."""
    excess, repeats = rows["ms_ssim_excess"], rows["repeats_synthetic"]
    short = [row for row in (_named(rows, name) for name in ("recall_", "coverage_")) if row and row.finding == "bad"]
    near = next((row for name, row in rows.items() if name.startswith("near_training") and row.finding == "bad"), None)
    if repeats.finding == "bad":
        return "Collapse", f"{repeats.verdict} {excess.verdict}", "bad"
    if excess.finding == "bad" and short:
        return "Collapse", f"{excess.verdict} {short[0].title}: {short[0].verdict}", "bad"
    if short and not _unlike(rows):
        said = f"{short[0].title}: {short[0].verdict}"
        if near:
            return "Part missing, and too near to training", f"{said} {near.verdict}", "bad"
        return "A part of the real images is missing", said, "bad"
    return ("Too near to training images", near.verdict, "bad") if near else None


def _distance(rows: Mapping[str, Measure]) -> tuple[str, str, Finding] | None:
    """Say whether the set is far from the real images."""
    excess = rows["ms_ssim_excess"]
    ratio = next(row for name, row in rows.items() if name.endswith("_over_floor"))
    if ratio.value is not None and (ratio.interval[0] if ratio.interval else ratio.value) > _FAR:
        return "Far from the real images", f"They are {ratio.verdict} {excess.verdict}", "open"
    if _unlike(rows):
        said = "They are less alike than real films are, as noise is, or few lie near a real film."
        return "Unlike the real images", f"{said} {excess.verdict}", "open"
    return None


def _likeness(excess: Measure) -> tuple[str, str, Finding]:
    """Say whether the images are more alike than other real films."""
    if excess.finding == "bad":
        return "More alike than real films", f"{excess.verdict} Recall and coverage do not show collapse.", "open"
    return ("No collapse seen" if excess.finding == "fine" else "Undecided"), excess.verdict, excess.finding


def _unlike(rows: Mapping[str, Measure]) -> bool:
    """Say whether images are no part of the real ones: few lie near one, or they are far less alike, as noise is."""
    precision, excess = _named(rows, "precision_"), rows["ms_ssim_excess"]
    few = precision is not None and precision.finding == "bad"
    return few or bool(excess.interval and excess.baseline and excess.interval[1] < -excess.baseline)


def _named(rows: Mapping[str, Measure], begin: str) -> Measure | None:
    return next((row for name, row in rows.items() if name.startswith(begin)), None)


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
