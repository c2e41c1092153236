"""Says what the measures of a synthetic set mean together: in a few words, as sentences, and as a finding."""

from collections.abc import Mapping

from monai_xr.metrics.measures import Finding, Measure

Words = tuple[str, str, Finding]
TOO_FEW = "Too few to judge"
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
    "lite0": (
        "Distances and coverage are taken in the space of an ImageNet network (EfficientNet-Lite0, Apache-2.0; the "
        "origin of its training is not stated). It sees shapes and textures of photographs, no findings or anatomy.",
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


def headline(rows: Mapping[str, Measure]) -> Words:
    """Give what the measures together say: in two or three words, as sentences, and as a finding.

    Images more alike than other real films are called collapsed where recall or coverage agrees, by being below that of
    other real films at all: real films of another source are more alike as well. Where they stand alone they must be
    below by what matters. Alone the rule would praise noise, which is never alike, and a few images given out again and
    again, which random pairs seldom meet. So repeats count as collapse, and a set far from the real one, or nearer to
    its training images than other patients' films are, or without a part of what real films show, is not called fine.
    """
    return _part_or_copy(rows) or _distance(rows) or _likeness(rows["ms_ssim_excess"])


def collapsed(rows: Mapping[str, Measure]) -> bool:
    """Say whether the same images come again and again, or images are more alike and cover less than real films."""
    repeats, excess = rows["repeats_synthetic"], rows["ms_ssim_excess"]
    return repeats.finding == "bad" or (excess.finding == "bad" and bool(below_real_films(rows)))


def below_real_films(rows: Mapping[str, Measure]) -> list[Measure]:
    """Give those of recall and coverage that are below other real films', by however little."""
    covers = [*rows_named(rows, "recall_"), *rows_named(rows, "coverage_")]
    return [row for row in covers if row.finding in ("bad", "open")]


def far_from_real(rows: Mapping[str, Measure]) -> Measure | None:
    """Give the ratio of distances where the set is several times as far from the real images as other films are."""
    ratio = next(row for name, row in rows.items() if name.endswith("_over_floor"))
    far = ratio.value is not None and (ratio.interval[0] if ratio.interval else ratio.value) > _FAR
    return ratio if far else None


def unlike_real(rows: Mapping[str, Measure]) -> bool:
    """Say whether images are no part of the real ones: few lie near one, or they are far less alike, as noise is."""
    excess = rows["ms_ssim_excess"]
    few = any(row.finding == "bad" for row in rows_named(rows, "precision_"))
    return few or bool(excess.interval and excess.baseline and excess.interval[1] < -excess.baseline)


def rows_named(rows: Mapping[str, Measure], begin: str) -> list[Measure]:
    """Give the measures whose name begins so, of all classes together."""
    return [row for name, row in rows.items() if name.startswith(begin)]


def _part_or_copy(rows: Mapping[str, Measure]) -> Words | None:
    """Say whether the set is a part of the real images, again and again, or nearly its training images."""
    excess, repeats, below = rows["ms_ssim_excess"], rows["repeats_synthetic"], below_real_films(rows)
    near = next((row for row in rows_named(rows, "near_training") if row.finding == "bad"), None)
    if collapsed(rows):
        other = repeats if repeats.finding == "bad" else below[0]
        return "Collapse", f"{excess.verdict} {other.title}: {other.verdict}", "bad"
    short = next((row for row in below if row.finding == "bad"), None)
    if short and not unlike_real(rows):
        said = f"{short.title}: {short.verdict}"
        if near:
            return "Part missing, and too near to training", f"{said} {near.verdict}", "bad"
        return "A part of the real images is missing", said, "bad"
    return ("Too near to training images", near.verdict, "bad") if near else None


def _distance(rows: Mapping[str, Measure]) -> Words | None:
    """Say whether the set is far from the real images."""
    excess, ratio = rows["ms_ssim_excess"], far_from_real(rows)
    if ratio:
        return "Far from the real images", f"They are {ratio.verdict} {excess.verdict}", "bad"
    if unlike_real(rows):
        said = "They are less alike than real films are, as noise is, or few lie near a real film."
        return "Unlike the real images", f"{said} {excess.verdict}", "bad"
    return None


def _likeness(excess: Measure) -> Words:
    """Say whether the images are more alike than other real films."""
    if excess.finding == "bad":
        return "More alike than real films", f"{excess.verdict} Recall and coverage do not show collapse.", "open"
    return ("No collapse seen" if excess.finding == "fine" else "Undecided"), excess.verdict, excess.finding


def summary_text(rows: Mapping[str, Measure]) -> str:
    """Give the numbers behind the verdict: the likenesses, what of them is beyond real films, the distance."""
    excess, others = rows["ms_ssim_excess"], rows.get("ms_ssim_held_out", rows["ms_ssim_real"])
    likeness = (
        f"MS-SSIM is {rows['ms_ssim_synthetic'].value_text} among synthetic and {others.value_text} among other real "
        f"images, {excess.value_text} beyond them (95 % interval {excess.interval_text})."
    )
    ratio = next(row for name, row in rows.items() if name.endswith("_over_floor"))
    if ratio.value is None:
        return likeness
    return f"{likeness} The Fréchet distance is {ratio.value_text} times that of real against real images."
