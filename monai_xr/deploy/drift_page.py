"""Writes the page on what has shifted since the reference, with plots over the windows: `write_drift_page`."""

from collections.abc import Sequence
from pathlib import Path

from monai_xr.data.files.output import write_text
from monai_xr.data.files.pages import render_page
from monai_xr.deploy.drift import FALSE_ALARMS, Shift, Window, psi_by_chance
from monai_xr.runs.provenance import provenance
from monai_xr.workflows.judging_images.plots import curve_panel

_MOST_LINES = 6
POSITIVE = "positive/"


def write_drift_page(path: Path, windows: Sequence[Window], *, reference: int, sources: dict[str, str]) -> None:
    """Write the page, replaced whole.

    Args:
        path: The file.
        windows: In the order of time.
        reference: Films behind the reference.
        sources: What was compared, by name.
    """
    newest = windows[-1]
    features = [each.feature for each in newest.shifts]
    findings = [name for name in features if name.startswith(POSITIVE)][: _MOST_LINES - 1]
    rates = {name.removeprefix(POSITIVE): _over(windows, name) for name in findings}
    if findings:
        rates[f"{findings[0].removeprefix(POSITIVE)}, reference"] = [
            (place, each.of(findings[0]).reference) for place, each in enumerate(windows, start=1)
        ]
    alarms = [each for each in windows if each.is_alarm]
    page = render_page(
        Path(__file__).with_name("drift.html.j2"),
        tone="bad" if newest.is_alarm else "fine",
        headline=alarm_text(newest) or f"No alarm: the newest {newest.films} films look like the reference",
        sentence=f"{len(alarms)} of {len(windows)} windows alarm; without a shift 1 in {1 / FALSE_ALARMS:,.0f} does.",
        windows=len(windows),
        rows=[(each.feature, _texts(each)) for each in newest.shifts],
        by_chance=f"{psi_by_chance(reference, newest.films):.2f}",
        newest=newest,
        plots=[
            *([curve_panel("Share of positive answers", rates, along="window")] if rates else []),
            curve_panel(
                "Distance from the reference (KS)",
                {name: [(x, w.of(name).distance) for x, w in enumerate(windows, 1)] for name in features[:_MOST_LINES]},
                along="window",
            ),
        ],
        history=[(each.weeks, each.films, f"{each.p:.2g}", alarm_text(each)) for each in windows],
        sources={**sources, "films of the reference": reference},
        provenance=provenance(),
    )
    write_text(path, page)


def alarm_text(window: Window) -> str:
    """Say what has shifted beyond chance, "" where nothing has."""
    if not window.is_alarm:
        return ""
    odd = [each.feature for each in window.shifts if each.p * len(window.shifts) <= FALSE_ALARMS]
    return f"shifted: {', '.join(odd[:4])}" + f" and {len(odd) - 4} more" * (len(odd) > 4)


def _over(windows: Sequence[Window], feature: str) -> list[tuple[float, float]]:
    return [(place, each.of(feature).window) for place, each in enumerate(windows, start=1)]


def _texts(shift: Shift) -> tuple[str, ...]:
    numbers = (shift.reference, shift.window, shift.psi, shift.distance)
    return (*(f"{each:.3g}" for each in numbers), f"{shift.p:.2g}")
