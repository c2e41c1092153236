"""Films made for the bench, and dcmtk's storescu sending them from many associations at once."""

import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

STORESCU = "/usr/bin/storescu"


def write_films(folder: Path, study: int, count: int, pixel_bytes: int) -> None:
    """Write films of noise, two a study."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(study)
    for number in range(count):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID, ds.Modality = DigitalXRayImageStorageForPresentation, "DX"
        ds.StudyInstanceUID = f"1.2.826.0.1.{study}.{number // 2}"
        ds.SeriesInstanceUID, ds.SOPInstanceUID = f"{ds.StudyInstanceUID}.1", f"{ds.StudyInstanceUID}.1.{number}"
        ds.PatientName, ds.PatientID = "PHANTOM", f"P{study}"
        ds.Rows, ds.Columns, ds.SamplesPerPixel = pixel_bytes // 1000, 500, 1
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.PixelData = chance.bytes(pixel_bytes)
        ds.save_as(folder / f"{number:04}.dcm", enforce_file_format=True)


def senders(port: int, title: str, folders: list[Path]) -> list[tuple[IO[str], subprocess.Popen[str]]]:
    """Start one association a folder, each with a file for what it says: who waits to write to a pipe sends nothing."""
    command = [STORESCU, "-v", "-R", "-aet", "SENDER", "-aec", title, "+sd", "127.0.0.1", str(port)]
    files = [tempfile.TemporaryFile("w+", errors="replace") for _ in folders]  # noqa: SIM115
    return [
        (file, subprocess.Popen([*command, str(folder)], stdout=subprocess.DEVNULL, stderr=file, text=True))
        for file, folder in zip(files, folders, strict=True)
    ]


def said_by(sender: tuple[IO[str], subprocess.Popen[str]]) -> str:
    """Give what a sender has said when it ends."""
    file, process = sender
    process.wait()
    with file:
        file.seek(0)
        return file.read()


def acknowledged(said: str) -> set[str]:
    """UIDs of the films whose success storescu told."""
    found, last = set(), ""
    for line in said.splitlines():
        if "Sending file:" in line:
            last = line.split("Sending file:")[1].strip()
        elif "Received Store Response (Success)" in line:
            found.add(str(pydicom.dcmread(last, stop_before_pixels=True).SOPInstanceUID))
    return found


def send_all(port: int, title: str, folders: list[Path]) -> tuple[int, float]:
    """Send everything; give how many films were acknowledged, and the seconds it took."""
    begin = time.perf_counter()
    said = [said_by(sender) for sender in senders(port, title, folders)]
    return sum(text.count("Response (Success)") for text in said), time.perf_counter() - begin
