"""Text in pixels: planted texts found and blacked out, clean films held back. MONAI_XR_TEXT_FILMS sets the count (40).

Each planted film goes through the commands themselves, `deidentify` and `review --blank`, which looks until it finds no
text; one in ten is looked at once more, by tesseract too, where it is installed. Films of MONAI_XR_DATA count
as clean here although some have letters burned in: they are looked at beside those that are held back.

Results are kept, a line a film, in the file that MONAI_XR_TEXT_LOG names: run again, what is there is not done again.
MONAI_XR_TEXT_PART=1/2 does the first half of the films; run once more without it, the whole is counted.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian

sys.path.insert(0, str(Path(__file__).parents[1]))

from planted_text import plant

from monai_xr.data.deidentifying import deidentify_folder, review_folder, waiting_images
from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.dicom import read_xray
from monai_xr.dicom.sandbox.isolated_reading import can_look_for_text, look_for_text

FILMS = int(os.environ.get("MONAI_XR_TEXT_FILMS", "40"))
CLEAN = min(FILMS, 150)
DATA = Path(os.environ.get("MONAI_XR_DATA", Path(__file__).parents[3] / "shared" / "data"))
PART, PARTS = (int(each) for each in os.environ.get("MONAI_XR_TEXT_PART", "1/1").split("/"))
AGAIN = 10  # of so many blacked-out films one is looked at once more after `review` has done so
PHANTOM = ("phantom",)
CLEAN_SETS = {
    "phantoms, 512 px": "",
    "Kermany, 128 px": "cxr/kermany/**/*.png",
    "Normal, 128 px": "cxr/covid_radiography/Normal/*.png",
    "COVID, 128 px": "cxr/covid_radiography/COVID/*.png",
}
Line = dict[str, object]


class Log:
    """Lines of an earlier run, and those that are added; without a file they are gone after the run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[str, Line] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            found = json.loads(line)
            self.lines[found["film"]] = found

    def measure(self, film: str, number: int, look: Callable[[], Line]) -> None:
        """Measure a film of this part, unless that was done before."""
        if film in self.lines or number % PARTS != PART - 1:
            return
        self.lines[film] = {"film": film, **look()}
        with self.path.open("a") as file:
            file.write(json.dumps(self.lines[film]) + "\n")

    def of(self, name: str) -> list[Line]:
        return [line for film, line in self.lines.items() if film.startswith(name)]


def phantoms(folder: Path) -> list[Path]:
    """Phantoms of 512 px with another patient each."""
    write_phantom_studies(folder, patients=FILMS, seed=7, size=512, manifest=False)
    return sorted(folder.rglob("*.dcm"))[:FILMS]


def planted(films: list[Path], folder: Path) -> Iterator[tuple[Path, Line]]:
    """Write copies with a text each."""
    random = np.random.default_rng(11)
    for number, film in enumerate(films):
        ds = pydicom.dcmread(film)
        top = (1 << ds.BitsStored) - 1
        pixels, text = plant(ds.pixel_array / top, random)
        store(ds, np.rint(pixels * top).astype(ds.pixel_array.dtype))
        (folder / str(number)).mkdir()
        ds.save_as(folder / str(number) / "film.dcm")
        yield folder / str(number), asdict(text)


def store(ds: pydicom.Dataset, pixels: np.ndarray) -> None:
    """Put uncompressed pixels into a film."""
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.add_new("PixelData", "OB" if pixels.itemsize == 1 else "OW", pixels.tobytes())


def through_the_commands(source: Path, text: Line, *, looked_at_again: bool) -> Line:
    """De-identify a film, black out its text, and look at it once more."""
    begin, out = time.monotonic(), source.parent / "out"
    deidentify_folder(source, out, admit=PHANTOM)
    seconds = time.monotonic() - begin
    waiting = waiting_images(out)
    told: Line = {"text": text, "found": bool(waiting and waiting[0].boxes), "seconds": round(seconds, 2)}
    try:
        review_folder(out, blank=[image.sop_uid for image in waiting], by="bench")
    except ValueError as error:
        told["stubborn"] = str(error)
    for image in (out / "images").rglob("*.dcm") if waiting else ():
        told["blacked_out"] = True  # which `review` does only once it finds no text any more
        if looked_at_again:
            told["boxes_left"] = len(look_for_text(image, admit=PHANTOM).boxes)
            told["tesseract"] = tesseract_reads(read_xray(image, admit=PHANTOM).pixels)
    shutil.rmtree(out)
    return told


def tesseract_reads(picture: np.ndarray) -> str:
    """Read sparse text upright, enlarged twice: letters of words that it is sure of."""
    if not shutil.which("tesseract"):
        return ""
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        image = Image.fromarray(np.rint(picture * 255).astype(np.uint8))
        image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC).save(file.name)
        command = ["tesseract", file.name, "-", "--psm", "11", "tsv"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split("\t") for line in told.splitlines()[1:]]
    return " ".join(row[11] for row in rows if len(row) > 11 and float(row[10]) > 80 and len(row[11].strip()) > 2)


def clean_films(name: str, films: list[Path], work: Path) -> Iterator[tuple[str, Callable[[], Line]]]:
    """Give films without planted text, and what is to be done with each."""
    chosen = films
    if CLEAN_SETS[name]:
        found = sorted(DATA.glob(CLEAN_SETS[name]))
        chosen = [found[i] for i in np.random.default_rng(5).permutation(len(found))[:CLEAN]]
    for number, film in enumerate(chosen[:CLEAN]):

        def look(film: Path = film) -> Line:
            path = film if film.suffix == ".dcm" else as_dicom(film, films[0], work / "film.dcm")
            return {"held": bool(look_for_text(path, admit=PHANTOM).boxes)}

        yield f"{number} {film.stem}", look


def as_dicom(picture: Path, template: Path, target: Path) -> Path:
    ds = pydicom.dcmread(template)
    pixels = np.asarray(Image.open(picture).convert("L"))
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    store(ds, pixels)
    for keyword in ("WindowCenter", "WindowWidth", "PixelPaddingValue"):
        ds.pop(keyword, None)
    ds.save_as(target)
    return target


def measure(log: Log, work: Path) -> None:
    """Measure what is not in the log yet."""
    films = phantoms(work / "phantoms")
    (work / "planted").mkdir()
    for number, (source, text) in enumerate(planted(films, work / "planted")):

        def look(source: Path = source, text: Line = text, number: int = number) -> Line:
            return through_the_commands(source, text, looked_at_again=number % AGAIN == 0)

        log.measure(f"planted {number}", number, look)
    for name in CLEAN_SETS:
        for number, (film, look) in enumerate(clean_films(name, films, work)):
            log.measure(f"{name} {film}", number, look)


def report(log: Log) -> bool:
    """Print the counts; tell whether they are good."""
    texts = log.of("planted ")
    missed = [line for line in texts if not line["found"]]
    out = [line for line in texts if "blacked_out" in line]
    again = [line for line in out if "boxes_left" in line]
    left = [line for line in again if line["boxes_left"]]
    read = [line for line in again if line.get("tesseract")]
    seconds = sum(float(str(line["seconds"])) for line in texts) / max(1, len(texts))
    print(f"planted texts found        {len(texts) - len(missed):5d} of {len(texts):5d}   {seconds:.2f} s a film")
    for line in (*missed, *(line for line in texts if "stubborn" in line), *left):
        print("  ", line)
    print(f"texts blacked out          {len(out):5d} of {len(texts):5d}")
    print(f"films with text after that {len(left):5d} of {len(again):5d} looked at once more")
    print(
        f"tesseract reads words in   {len(read):5d} of {len(again):5d}: {' '.join(str(r['tesseract']) for r in read)}"
    )
    good = not missed and not left and len(out) == len(texts)
    for name in CLEAN_SETS:
        films = log.of(f"{name} ")
        held = [str(line["film"]).removeprefix(name).strip() for line in films if line["held"]]
        shown = "" if name.startswith("phantoms") else " ".join(held)
        print(f"{name:26s} {len(held):5d} of {len(films):5d} held back: {shown}")
        good = good and (not name.startswith("phantoms") or len(held) <= len(films) / 20)
    return good


def main() -> int:
    if not can_look_for_text():
        print("the extra ocr is not installed")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(os.environ.get("MONAI_XR_TEXT_LOG") or Path(folder) / "log.jsonl"))
        measure(log, Path(folder))
        return int(not report(log))


if __name__ == "__main__":
    raise SystemExit(main())
