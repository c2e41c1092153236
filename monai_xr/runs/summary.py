"""Tells in words how a run stands, what it reached and what comes next, from its folder. Reads text alone."""

import json
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_xr.data.files.data_folder import MANIFEST
from monai_xr.data.files.json_lines import read_lines
from monai_xr.errors import ConfigurationError
from monai_xr.progress import as_time
from monai_xr.runs.curves import CURVES, PLACE, in_words, numbers, told_measures
from monai_xr.runs.run_folder import RunFolder

_LOSSES = ("generator", "discriminator", "classifier")
_ASIDE = "until_"  # begins the folder of an earlier run that was set aside


@dataclass(frozen=True)
class Summary:
    """What a person asks of a run.

    Attributes:
        state: finished, failed, stopped or running.
        epochs: Done, of those asked for.
        films: Of each class.
        reached: The best measures with their epoch, else the last ones.
        checkpoint: File to take, or "".
        next_commands: What comes next; first how it goes on, where it did not come to its end.
        is_resumable: Whether it is such a training.
    """

    name: str
    bundle: str
    state: str
    epochs: str
    films: str
    reached: str
    checkpoint: str
    next_commands: Sequence[str]
    is_resumable: bool
    settings: Mapping[str, Any]

    def end_lines(self) -> list[str]:
        """Give what is written when a training has ended."""
        told = [f"trained     {self.name}: {self.state}, epoch {self.epochs}"]
        told += [f"reached     {self.reached}"] if self.reached else []
        told += [f"checkpoint  {self.checkpoint}"] if self.checkpoint else []
        first, *others = self.next_commands
        return [*told, f"next        {first}", *(f"then        {command}" for command in others)]


def summary_of(run: RunFolder, *, films: str = "") -> Summary:
    """Read a run.

    Args:
        run: Of a training.
        films: Where its films are, as typed, for the commands; else as far as the record holds it.

    Raises:
        ModelError: No training is recorded there.
    """
    record, settings = run.record, run.settings
    lines = read_lines(run.path / CURVES, cut=True)[0]
    last = lines[-1] if lines else {}
    data = record.get("data", {})
    resumable = record.get("state") in ("stopped", "failed") and run.is_begun
    return Summary(
        name=str(run.path),
        bundle=str(settings.get("bundle", "")),
        state=_state(record, last),
        epochs=f"{record.get('epochs', last.get('epoch', 0))}/{settings.get('max_epochs', '?')}",
        films=", ".join(
            f"{count} {name or 'without label'}" for name, count in data.get("images_per_class", {}).items()
        ),
        reached=_reached(record, last),
        checkpoint=_checkpoint(run, record),
        next_commands=[
            *[resume_command(run.path, films or _recorded_films(run))] * resumable,
            *next_commands(run, films),
        ],
        is_resumable=resumable,
        settings=settings,
    )


def find_runs(places: Iterable[Path]) -> list[RunFolder]:
    """Find runs: each place is one, or a folder that holds some, at most two levels deep.

    Raises:
        ConfigurationError: A place that is not there, or without a run.
    """
    found: list[RunFolder] = []
    for place in places:
        if not place.is_dir():
            raise ConfigurationError("no such folder", place, "name runs, or a folder that holds some")
        records = [each for pattern in ("run.json", "*/run.json", "*/*/run.json") for each in place.glob(pattern)]
        folders = sorted({each.parent for each in records if not each.parent.name.startswith(_ASIDE)})
        if not folders:
            raise ConfigurationError("no run in this folder", place, "name the folder that holds runs, or train one")
        found += [RunFolder(folder) for folder in folders]
    return found


def differing_settings(summaries: Sequence[Summary]) -> dict[str, list[str]]:
    """Give the settings in which runs differ, with the value of each run; "" where a run has no such setting."""
    names = dict.fromkeys(name for each in summaries for name in each.settings)
    values = {
        name: [json.dumps(each.settings.get(name, ""), ensure_ascii=False).strip('"') for each in summaries]
        for name in names
    }
    return {name: row for name, row in values.items() if len(set(row)) > 1}


def next_commands(run: RunFolder, films: str = "", images: Path | None = None) -> list[str]:
    """Give the commands that the metadata of a run's bundle names, and the one for its page.

    `{run}` and `{films}` in them stand for the folder of the run and for that of the films, as they were typed. Images
    are made first where there are none yet, and evaluated first where there are.

    Args:
        run: Of a training.
        films: Where its films are; else as the record holds it, where that is there.
        images: Those that were just made; else the newest of the run, unless it was trained further since.
    """
    try:
        metadata = json.loads((run.path / "metadata.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        metadata = {}
    recorded = str(run.setting("dataset_dir", ""))
    films = films or _recorded_films(run)
    images = images or _newest_images(run)
    commands = [str(each) for each in metadata.get("next_commands", ())]
    if images:
        commands.sort(key=lambda each: each.startswith("monai-xr sample"))
        made = shlex.quote(str(images))
        commands = [each.replace("{run}", made) if each.startswith("monai-xr evaluate") else each for each in commands]
    folder = ", ".join(filter(None, ("    # FOLDER: the films of the training", recorded)))
    known = {"{run}": shlex.quote(str(run.path)), "{films}": shlex.quote(films) if films else "FOLDER"}
    commands = [each + folder * ("{films}" in each and not films) for each in commands]
    for word, text in known.items():
        commands = [each.replace(word, text) for each in commands]
    return [*commands, f"monai-xr report {known['{run}']}"]


def resume_command(run: Path, films: str) -> str:
    """Give the command that goes on with a training."""
    return f"monai-xr train {shlex.quote(str(run))} --resume --dataset_dir {shlex.quote(films or 'FOLDER')}"


def _recorded_films(run: RunFolder) -> str:
    """Give the folder of the films as the record holds it, "" where that is not there."""
    recorded = str(run.setting("dataset_dir", ""))
    return recorded if Path(recorded).is_dir() else ""


def _newest_images(run: RunFolder) -> Path | None:
    """Give the folder of images that were made last, of those made since the last epoch."""
    newer = {each: _time_of(each / MANIFEST) for each in run.sampled if not went_on_since(run, each)}
    return max(newer, key=newer.__getitem__, default=None)


def went_on_since(run: RunFolder, images: Path) -> bool:
    """Tell whether a training ended an epoch after images of it were made."""
    return 0 < _time_of(images / MANIFEST) < _time_of(run.path / CURVES)


def _time_of(file: Path) -> float:
    return file.stat().st_mtime if file.is_file() else 0.0


def _state(record: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    state = str(record.get("state", "unknown"))
    if state == "running" and last:
        return f"running, last epoch {as_time(max(0.0, time.time() - last['time']))} ago"
    return state + (f" ({record['stop_reason']})" if record.get("stop_reason") else "")


def _reached(record: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    best = dict(record.get("best", {}))
    if best:
        epoch = best.pop("epoch")
        return f"{in_words(numbers(best), main_first=True)} in epoch {epoch}, the best"
    measures = told_measures({name: value for name, value in last.items() if name not in PLACE})
    quality = {name: value for name, value in measures.items() if name not in _LOSSES}
    hint = "; MS-SSIM above 0 is more alike than real images" * ("ms_ssim_gap" in quality)
    return f"{in_words(quality or measures, main_first=True)} in epoch {last['epoch']}{hint}" if measures else ""


def _checkpoint(run: RunFolder, record: Mapping[str, Any]) -> str:
    notes = sorted((run.path / "checkpoints").glob("epoch_*.json"))
    if not notes:
        return ""
    newest = f"{notes[-1].stem}.pt in {run.path / 'checkpoints'}"
    best = record.get("best", {}).get("epoch")
    return f"{newest}, which holds the best network, of epoch {best}" if best else f"{newest}, the last"
