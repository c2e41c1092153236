"""The containers are confined, hold no passwords, and the intake's has all that it imports."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from monai_xr.pacs.site import read_site

DOCKER = Path(__file__).parents[1] / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
IMPORTED = """
import json, pkgutil, sys
from importlib import import_module
import monai_xr.pacs, monai_xr.cli
for module in pkgutil.iter_modules(monai_xr.pacs.__path__):
    import_module(f"monai_xr.pacs.{module.name}")
for name in ("data.preparing", "data.preparing.console", "data.deidentifying.shared_job"):
    import_module(f"monai_xr.{name}")
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


LASTING = [name for name, service in COMPOSE["services"].items() if "profiles" not in service]


@pytest.mark.parametrize("name", LASTING)
def test_services_are_confined_and_tell_their_health(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["user"] == "10001:10001"
    assert service["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert "environment" not in service
    assert "HEALTHCHECK" in (DOCKER / name / "Dockerfile").read_text()


@pytest.mark.parametrize("name", LASTING)
def test_what_is_mounted_from_here_is_there_and_read_only(name: str) -> None:
    assert "configs" not in COMPOSE  # podman-compose knows none and starts the services without them
    mounts = [volume.split(":") for volume in COMPOSE["services"][name]["volumes"]]
    for source, _, *mode in mounts:
        assert source in COMPOSE["volumes"] or ((DOCKER / source).is_file() and mode == ["ro"])


def test_the_app_has_no_network_and_no_rights() -> None:
    app = COMPOSE["services"]["app"]
    assert (app["network_mode"], app["read_only"], app["cap_drop"], app["user"]) == ("none", True, ["ALL"], "1000:1000")
    assert "ports" not in app
    assert [volume.endswith(":ro") for volume in app["volumes"]] == [True, False]


@pytest.mark.parametrize("name", ["intake", "train"])
def test_what_the_wheel_takes_in_is_copied_before_it_is_built(name: str) -> None:
    lines = (DOCKER / name / "Dockerfile").read_text().splitlines()
    built = next(place for place, line in enumerate(lines) if "--no-build-isolation ." in line)
    copied = [part for line in lines[:built] if line.startswith("COPY") for part in line.split()[1:-1]]
    wheel = tomllib.loads((DOCKER.parent / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [*wheel["packages"], *wheel["force-include"], "pyproject.toml", "README.md", "LICENSE"]
    assert [each for each in needed if not any(f"{each}/".startswith(f"{part}/") for part in copied)] == []


def test_passwords_are_files_outside_the_repository() -> None:
    assert all(secret["file"].startswith("secrets/") for secret in COMPOSE["secrets"].values())
    assert "docker/secrets/" in (DOCKER.parent / ".gitignore").read_text()
    assert "RegisteredUsers" not in json.loads((DOCKER / "orthanc" / "orthanc.json").read_text())


def test_the_site_of_the_containers_is_one() -> None:
    site = read_site(DOCKER / "intake" / "site.yaml")
    network = COMPOSE["networks"]["hospital"]["ipam"]["config"][0]["subnet"]
    assert [str(each) for each in site.peers["pacs"].addresses] == [network]
    assert f":{site.receiver.metrics_port}/health" in (DOCKER / "intake" / "Dockerfile").read_text()


def test_the_image_of_the_intake_has_what_it_imports_and_no_torch() -> None:
    told = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True).stdout
    of_module = packages_distributions()
    imported = {canonicalize_name(name) for module in json.loads(told) for name in of_module.get(module, ())}
    lines = (DOCKER / "intake" / "requirements.txt").read_text().splitlines()
    there: set[str] = set()
    wanted = [canonicalize_name(line) for line in lines if re.match(r"\w", line)]
    while wanted:
        name = wanted.pop()
        if name not in there:
            there.add(name)
            needed = [Requirement(each) for each in requires(name) or ()]
            wanted += [canonicalize_name(each.name) for each in needed if not each.marker or each.marker.evaluate()]
    assert imported - there <= {"setuptools", "monai-xr", "pip", "brotli"}  # urllib3 takes the last where it is
    assert "torch" not in there
