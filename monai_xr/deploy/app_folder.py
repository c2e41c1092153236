"""Writes the folder of an app: code, manifests of MONAI Deploy, Dockerfiles, checksums.

The app carries the rooms of this package that it runs on, so that it stays what it was when it was tested.
"""

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import monai_xr
from monai_xr.data.files.output import write_json, write_text
from monai_xr.disk import sha256_of

CHECKSUMS = "sha256.txt"
_PACKAGE = Path(monai_xr.__file__).parent
_ROOMS = ("data", "deploy", "dicom", "transforms/aiin")
_PLAIN = (
    *("highdicom", "imagecodecs", "numba", "numpy", "onnxruntime", "opencv-python-headless", "packaging"),
    *("pillow", "pydicom", "pyjpegls", "pylibjpeg-openjpeg", "pylibjpeg-rle", "scipy"),
)
_SDK = ("monai-deploy-app-sdk", "holoscan-cu13", "nvidia-cuda-runtime")
_API, _ROOT = "1.0.0", "/opt/holoscan"
_ENVIRONMENT = {
    "HOLOSCAN_APPLICATION": f"{_ROOT}/app",
    "HOLOSCAN_INPUT_PATH": "/var/holoscan/input",
    "HOLOSCAN_OUTPUT_PATH": "/var/holoscan/output",
    "HOLOSCAN_MODEL_PATH": f"{_ROOT}/models",
    "HOLOSCAN_WORKDIR": "/var/holoscan",
    "HOLOSCAN_CONFIG_PATH": f"{_ROOT}/app/app.yaml",
}
_IN_IMAGE = {
    "PATH": "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 - of a container; cupy and numba write there
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}


def write_app(folder: Path, name: str, title: str, package_version: str) -> None:
    """Write `app`, `map`, the Dockerfiles and the manifest that the stock packager needs offline.

    Args:
        folder: Of the export; its `models` are there.
        name: Of the model.
        title: For people.
        package_version: Of this package.
    """
    app, tag = folder / "app", name.replace("_", "-")
    environment = "".join(f"ENV {key}={value}\n" for key, value in (_ENVIRONMENT | _IN_IMAGE).items())
    known = {"title": title, "folder": "app", "version": package_version, "tag": tag, "environment": environment}
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("app_files")),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - of code, by ourselves
    )
    for place in (app / "__main__.py", app / "app.py", app / "app.yaml", *_dockerfiles(folder)):
        write_text(place, templates.get_template(f"{place.name}.j2").render(known))
    pinned = [f"{each}=={version(each)}\n" for each in _PLAIN]
    write_text(app / "requirements-plain.txt", "".join(pinned))
    write_text(app / "requirements.txt", "".join([*pinned, *(f"{each}=={version(each)}\n" for each in _SDK)]))
    _copy_package(app / _PACKAGE.name)
    write_json(folder / "map" / "app.json", _app_manifest(package_version))
    write_json(folder / "map" / "pkg.json", _package_manifest(name, package_version))
    write_json(folder / "source.json", _packager_source())


def write_checksums(folder: Path) -> None:
    """List all files of a folder with their SHA-256, as `sha256sum --check` takes it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{sha256_of(path)}  {path.relative_to(folder)}\n" for path in files]
    write_text(folder / CHECKSUMS, "".join(lines))


def _dockerfiles(folder: Path) -> tuple[Path, Path]:
    return folder / "Dockerfile.cpu", folder / "Dockerfile.cuda"


def _copy_package(target: Path) -> None:
    left_out = shutil.ignore_patterns("__pycache__", "*.part")
    for room in _ROOMS:
        shutil.copytree(_PACKAGE / room, target / room, ignore=left_out)
    for module in (*_PACKAGE.glob("[!_]*.py"), _PACKAGE / "__init__.py", _PACKAGE / "transforms" / "__init__.py"):
        shutil.copyfile(module, target / module.relative_to(_PACKAGE))


def _app_manifest(package_version: str) -> dict[str, Any]:
    return {
        "apiVersion": _API,
        "command": json.dumps(["python3", _ENVIRONMENT["HOLOSCAN_APPLICATION"]]),
        "environment": _ENVIRONMENT,
        "input": {"path": _ENVIRONMENT["HOLOSCAN_INPUT_PATH"], "formats": ["dicom"]},
        "output": {"path": _ENVIRONMENT["HOLOSCAN_OUTPUT_PATH"], "formats": ["dicom"]},
        "sdk": "monai-deploy",
        "sdkVersion": version("monai-deploy-app-sdk"),
        "timeout": 0,
        "version": package_version,
        "workingDirectory": _ENVIRONMENT["HOLOSCAN_WORKDIR"],
        "readiness": None,
        "liveness": None,
    }


def _package_manifest(name: str, package_version: str) -> dict[str, Any]:
    return {
        "apiVersion": _API,
        "applicationRoot": _ENVIRONMENT["HOLOSCAN_APPLICATION"],
        "modelRoot": _ENVIRONMENT["HOLOSCAN_MODEL_PATH"],
        "models": {name: f"{_ENVIRONMENT['HOLOSCAN_MODEL_PATH']}/{name}"},
        "resources": {"cpu": 1, "gpu": 0, "memory": "1Gi", "gpuMemory": "0Gi"},
        "version": package_version,
        "platformConfig": "dgpu",  # the format has no value for a CPU
    }


def _packager_source() -> dict[str, Any]:
    """Give the release manifest that `holoscan_cli package --source` would otherwise download."""
    found = version("holoscan-cu13")
    base = "nvidia/cuda:13.0.2-cudnn-runtime-ubuntu24.04"
    images = dict.fromkeys(("dgpu", "igpu", "cpu"), base)
    builders = {"dgpu": {"x86_64": base}, "igpu": {}, "cpu": {"x86_64": base}}
    content = {"wheel-version": found, "debian-version": f"{found}.0-1"}
    return {found: {"holoscan": {**content, "base-images": images, "build-images": builders}}}
