"""Speed of `prepare` beside MONAI's LoadImage + Resize(area); its second run; its memory: `python bench_prepare.py`.

200 films of 2500 x 2048 pixels and 12 bits to 256 pixels, two workers, DICOM decoded in children with limits (the
default of the command). MONAI goes through the first of them in one loop, with the reader it takes by itself (ITK) and,
for the record, with pydicom. JPEG 2000 films are fewer, as they take long on both sides. Numbers are films a second,
medians of interleaved runs. Exits with 1 if a bound does not hold.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ[variable] = "1"

import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pydicom.uid as uids
import torch
from bench_dicom import chest, save
from monai.transforms import LoadImage, Resize

from monai_xr.data.preparing import PrepareSettings, prepare

FILMS, SLOW_FILMS, SMALL_FILMS = 200, 24, 2000
THEIR_FILMS = 24  # of the same, as a loop takes as long for each
PICTURES = 12  # different ones; the others are the same in files of other patients
PAIRS = 3  # of whole runs
TO_TRAIN = {"train": 1.0}


def archive(folder: Path, syntax: str, encode: Callable[[np.ndarray], bytes | None], films: int) -> Path:
    """Write films of different patients."""
    folder.mkdir(parents=True)
    pictures = [np.roll(chest(), 97 * number, axis=1) for number in range(PICTURES)]
    templates = [pydicom.dcmread(save(folder, "000.dcm", each, syntax, encode(each))) for each in pictures]
    for number in range(films):
        ds = templates[number % PICTURES]
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        ds.PatientID = f"P{number}"
        ds.save_as(folder / f"{number:03d}.dcm")
    return folder


def ours(films: Path, out: Path, workers: int = 2) -> Callable[[], int]:
    """Prepare all films from nothing; give their number."""

    def run() -> int:
        shutil.rmtree(out, ignore_errors=True)
        settings = PrepareSettings(workers=workers, fractions=TO_TRAIN)
        return len(prepare(films, out, settings).records)

    return run


def monai(films: Path, reader: str | None = None) -> Callable[[], int]:
    """Load and resize the first films; give their number."""
    load, resize = LoadImage(reader=reader, image_only=True), Resize((256, 256), mode="area")
    first = sorted(films.iterdir())[:THEIR_FILMS]

    def run() -> int:
        for film in first:
            pixels = load(film)
            resize(pixels.reshape(1, *pixels.shape[:2]))  # ITK gives a third axis of length 1
        return len(first)

    return run


def faster(name: str, one: Callable[[], int], other: Callable[[], int], bound: float) -> bool:
    """Compare films a second in interleaved runs, after one of each to warm up; tell whether the bound is reached."""
    speeds = np.empty((PAIRS + 1, 2))
    for row in speeds:
        for place, job in enumerate((one, other)):
            begin = time.perf_counter()
            row[place] = job() / (time.perf_counter() - begin)
    first, second = np.median(speeds[1:], axis=0)
    ratios = speeds[1:, 0] / speeds[1:, 1]
    return told(
        first / second >= bound,
        f"{name}: {first:.1f} / {second:.1f} films a second = {first / second:.2f} "
        f"(pairs {ratios.min():.2f} to {ratios.max():.2f}), bound {bound:g}",
    )


def told(holds: bool, line: str) -> bool:
    """Print a row."""
    print(f"{'ok  ' if holds else 'FAIL'} {line}", flush=True)
    return holds


_PEAK = """
import sys
from monai_xr.data.preparing.prepare_folder import PrepareSettings, prepare
prepare(sys.argv[1], sys.argv[2], PrepareSettings(size=64, decode="direct", no_patients=True))
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


def peak_kib(films: Path, out: Path) -> int:
    """Give the largest memory of a process that prepares a folder."""
    return int(subprocess.run([sys.executable, "-c", _PEAK, films, out], check=True, capture_output=True).stdout)


def memory_and_second_run(folder: Path) -> bool:
    """Small films, many of them: bytes of memory for each, and seconds of a run that finds nothing new."""
    rng = np.random.default_rng(0)
    peaks = []
    for films in (SMALL_FILMS // 10, SMALL_FILMS):
        source = folder / f"small{films}"
        source.mkdir()
        for number in range(films):
            pixels = rng.integers(0, 4096, (96, 96)).astype(np.uint16)
            ds = pydicom.dcmread(save(source, f"{number:04d}.dcm", pixels, uids.ExplicitVRLittleEndian))
            ds.SOPInstanceUID, ds.PatientID = f"1.2.3.{number}", f"P{number}"
            ds.save_as(source / f"{number:04d}.dcm")
        peaks.append(peak_kib(source, folder / f"out{films}"))
    bytes_a_film = 1024 * (peaks[1] - peaks[0]) / (SMALL_FILMS * 0.9)
    # the store is mapped: its pages of 8 KiB a film count, and are given back where memory is short
    flat = told(
        bytes_a_film < 16384, f"memory of {SMALL_FILMS} films: {peaks[1] // 1024} MiB, {bytes_a_film:.0f} bytes a film"
    )
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        prepare(source, folder / f"out{SMALL_FILMS}", PrepareSettings(size=64, decode="direct", no_patients=True))
        times.append(time.perf_counter() - begin)
    seconds = float(np.median(times)) * 1000 / SMALL_FILMS
    again = told(seconds < 1, f"second run over {SMALL_FILMS} unchanged films: {seconds:.3f} s per 1,000, bound 1")
    return flat and again


def encode_jpeg(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=12))


def encode_j2k(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, level=0, bitspersample=12))


KINDS: dict[str, tuple[str, Callable[[np.ndarray], bytes | None], int, float]] = {
    "uncompressed": (uids.ExplicitVRLittleEndian, lambda pixels: None, FILMS, 5),
    "JPEG Lossless": (uids.JPEGLosslessSV1, encode_jpeg, FILMS, 5),
    "JPEG 2000": (uids.JPEG2000Lossless, encode_j2k, SLOW_FILMS, 1),
}


def main() -> int:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # MONAI warns of each film without an affine
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results.append(memory_and_second_run(folder))
        for kind in sys.argv[1:] or KINDS:
            syntax, encode, count, bound = KINDS[kind]
            films, out = archive(folder / kind / "films", syntax, encode, count), folder / kind / "out"
            results.append(faster(f"{kind}, MONAI's own choice", ours(films, out), monai(films), bound))
            if kind != "JPEG Lossless":  # pydicom has no decoder for it here
                pydicoms = monai(films, "PydicomReader")
                faster(f"{kind}, MONAI's PydicomReader, for the record", ours(films, out), pydicoms, 0)
            # reading what is not compressed waits for memory, not for workers
            least = 0 if kind == "uncompressed" else 1.2
            results.append(faster(f"{kind}, two workers / one", ours(films, out), ours(films, out, 1), least))
            shutil.rmtree(folder / kind)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
