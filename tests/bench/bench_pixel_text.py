"""Text in pixels: planted texts found and blacked out, clean films held back. MONAI_XR_TEXT_FILMS sets the count (40).

The planted films go through the commands themselves, `deidentify` and `review --blank`; tesseract looks last, where it
is installed. Films of MONAI_XR_DATA count as clean here although some have letters burned in: they are looked at
beside those that are held back.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import shutil
import subprocess
import sys
import tempfile
import time
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
from monai_xr.dicom.isolation.isolated_reading import can_look_for_text, look_for_text

FILMS = int(os.environ.get("MONAI_XR_TEXT_FILMS", "40"))
DATA = Path(os.environ.get("MONAI_XR_DATA", Path(__file__).parents[3] / "shared" / "data"))
PHANTOM = ("phantom",)
SETS = {
    "Kermany, 128 px": "cxr/kermany/**/*.png",
    "Normal, 128 px": "cxr/covid_radiography/Normal/*.png",
    "COVID, 128 px": "cxr/covid_radiography/COVID/*.png",
}


def phantoms(folder: Path) -> list[Path]:
    """Phantoms of 512 px with another patient each."""
    write_phantom_studies(folder, patients=FILMS, seed=7, size=512, manifest=False)
    return sorted(folder.rglob("*.dcm"))[:FILMS]


def planted(films: list[Path], folder: Path) -> dict[str, tuple[object, np.ndarray]]:
    """Write copies with a text each, by their SOP Instance UIDs."""
    random, made = np.random.default_rng(11), {}
    for number, film in enumerate(films):
        ds = pydicom.dcmread(film)
        top = (1 << ds.BitsStored) - 1
        pixels, text = plant(ds.pixel_array / top, random)
        store(ds, np.rint(pixels * top).astype(ds.pixel_array.dtype))
        ds.save_as(folder / f"{number}.dcm")
        made[number] = text
    return made


def store(ds: pydicom.Dataset, pixels: np.ndarray) -> None:
    """Put uncompressed pixels into a film."""
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.add_new("PixelData", "OB" if pixels.itemsize == 1 else "OW", pixels.tobytes())


def tesseract_reads(picture: np.ndarray) -> str:
    """Read sparse text upright, enlarged twice: letters of words that it is sure of."""
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        image = Image.fromarray(np.rint(picture * 255).astype(np.uint8))
        image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC).save(file.name)
        command = ["tesseract", file.name, "-", "--psm", "11", "tsv"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split("\t") for line in told.splitlines()[1:]]
    return " ".join(row[11] for row in rows if len(row) > 11 and float(row[10]) > 80 and len(row[11].strip()) > 2)


def count_planted(work: Path) -> bool:
    films = phantoms(work / "phantoms")
    (work / "planted").mkdir()
    texts = planted(films, work / "planted")
    begin = time.monotonic()
    report = deidentify_folder(work / "planted", work / "out", admit=PHANTOM, crosswalk=work / "who.jsonl")
    seconds = (time.monotonic() - begin) / len(films)
    held = report.counts["waiting"]
    print(f"planted texts found        {held:5d} of {len(films):5d}   {seconds:.2f} s a film")
    missed = (work / "who.jsonl").read_text().splitlines()
    for line in missed:
        if '"status": "ready"' in line:
            print("  missed:", texts[int(line.split('"file": "')[1].split(".")[0])])
    names = [image.sop_uid for image in waiting_images(work / "out")]
    stubborn = 0
    for name in names:
        try:
            review_folder(work / "out", blank=[name], by="bench")
        except ValueError as error:
            stubborn += 1
            print("  not blacked out:", error)
    print(f"texts blacked out          {len(names) - stubborn:5d} of {len(names):5d}")
    out = sorted((work / "out" / "images").rglob("*.dcm"))
    left = sum(bool(look_for_text(each, admit=PHANTOM).boxes) for each in out[:: max(1, len(out) // 50)])
    print(f"films with text after that {left:5d} of {len(out[:: max(1, len(out) // 50)]):5d} looked at once more")
    if shutil.which("tesseract"):
        upright = [read_xray(each, admit=PHANTOM).pixels for each in out[:: max(1, len(out) // 50)]]
        print(f"tesseract reads words in   {sum(bool(tesseract_reads(each)) for each in upright):5d} of {len(upright)}")
    clean = deidentify_folder(work / "phantoms", work / "clean", admit=PHANTOM)
    print(f"clean phantoms held back   {clean.counts['waiting']:5d} of {clean.counts.total():5d}")
    return held == len(films) and not stubborn and not left and clean.counts["waiting"] <= clean.counts.total() / 20


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


def count_real(work: Path) -> None:
    template = next((work / "phantoms").rglob("*.dcm"))
    for name, pattern in SETS.items():
        films = sorted(DATA.glob(pattern))
        chosen = [films[i] for i in np.random.default_rng(5).permutation(len(films))[:FILMS]]
        held = [
            film.stem
            for film in chosen
            if look_for_text(as_dicom(film, template, work / "film.dcm"), admit=PHANTOM).boxes
        ]
        print(f"{name:26s} {len(held):5d} of {len(chosen):5d} held back: {' '.join(held[:60])}", flush=True)


def main() -> int:
    if not can_look_for_text():
        print("the extra ocr is not installed")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        is_good = count_planted(Path(folder))
        if DATA.is_dir():
            count_real(Path(folder))
    return int(not is_good)


if __name__ == "__main__":
    raise SystemExit(main())
