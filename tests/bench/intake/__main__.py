"""Receivers side by side on one disk: rate under load, and what is on the disk when they answer. `make bench-intake`.

Needs dcmtk; Orthanc and strace where they are installed. Prints two tables for docker/README.md; exits with 1 if ours
loses a film or is slower than its bound.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from intake.durability import STRACE, kill_often, trace
from intake.receivers import ForkingStorescp, Ours, Receiver, Storescp, available
from intake.sending import send_all, write_films

LEAST_OF_DCMTK, LEAST_DX_A_SECOND = 0.9, 20


def measure(kind: type[Receiver], folder: Path, films: list[Path]) -> tuple[int, float]:
    receiver = kind(folder)
    receiver.start()
    count, seconds = send_all(receiver.port, receiver.title, films)
    receiver.end()
    shutil.rmtree(folder, ignore_errors=True)
    os.sync()  # what one leaves to the disk is not for the next one to wait for
    return count, seconds


def load(folder: Path, rounds: int, associations: int, each: int) -> bool:
    """Rates of all receivers, in turn."""
    small = [folder / "small" / str(number) for number in range(associations)]
    large = [folder / "large" / str(number) for number in range(4)]
    for number, place in enumerate(small):
        write_films(place, number + 1, each, 500_000)
    for number, place in enumerate(large):
        write_films(place, 100 + number, 20, 10_000_000)
    rates: dict[str, list[tuple[float, float]]] = {}
    whole = True
    for turn in range(rounds):
        for kind in available():
            count, seconds = measure(kind, folder / f"{kind.__name__}{turn}", small)
            big, big_seconds = measure(kind, folder / f"{kind.__name__}{turn}big", large)
            rates.setdefault(kind.name, []).append((count / seconds, big / big_seconds))
            whole &= kind is not Ours or (count, big) == (associations * each, 80)
            print(
                f"  {kind.name}: {count} of {associations * each} films of 0.5 MB, {count / seconds:.0f}/s", flush=True
            )
    print(f"\n| {associations} associations x {each} films of 0.5 MB | films/s | 10 MB films/s, 4 associations |")
    print("|---|---|---|")
    medians = {
        name: [statistics.median(column) for column in zip(*pairs, strict=True)] for name, pairs in rates.items()
    }
    for name, (films, big_films) in medians.items():
        print(f"| {name} | {films:.0f} | {big_films:.0f} |")
    ours, big_ours = medians[Ours.name]
    others = [medians[kind.name][0] for kind in (Storescp, ForkingStorescp) if kind.name in medians]
    ratio = ours / max(others, default=ours)
    print(f"\nours to the faster storescp: {ratio:.2f} (bound {LEAST_OF_DCMTK}); all films taken: {whole}")
    return whole and ratio >= LEAST_OF_DCMTK and big_ours >= LEAST_DX_A_SECOND


def durability(folder: Path, kills: int, traced: int) -> bool:
    """What is on the disk at the answer."""
    films = [folder / "sent" / str(number) for number in range(8)]
    for number, place in enumerate(films):
        write_films(place, 200 + number, 40, 500_000)
    write_films(folder / "watched", 300, traced, 50_000)
    print(f"\n| answered while | {kills} kills: answered / lost or damaged | data on the disk | name on the disk |")
    print("|---|---|---|---|")
    kept = True
    for kind in available():
        told, lost = kill_often(kind(folder / f"{kind.__name__}killed"), films, kills)
        row = f"| {kind.name} | {told} / {lost} |"
        if Path(STRACE).exists():
            disk = trace(kind(folder / f"{kind.__name__}watched"), folder / "watched")
            row += f" {disk.safe_data} of {disk.answers} | {disk.safe_names} of {disk.answers} |"
            kept &= kind is not Ours or disk.safe_data == disk.safe_names == disk.answers >= traced
        print(row if Path(STRACE).exists() else row + " - | - |", flush=True)
        kept &= kind is not Ours or not lost
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--associations", type=int, default=16)
    parser.add_argument("--each", type=int, default=200)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--traced", type=int, default=100)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-intake-", dir=os.environ.get("TMPDIR", ".")))
    os.environ["MONAI_XR_KEY"] = str(folder / "site.key")
    try:
        kept = durability(folder, chosen.kills, chosen.traced)
        fast = load(folder, chosen.rounds, chosen.associations, chosen.each)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return not (kept and fast)


raise SystemExit(main())
