"""What pip installs is what a bundle runs with."""

import json
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from monai_xr.errors import ConfigurationError
from monai_xr.workflows.bundle_running.bundle_folders import check_versions

ROOT = Path(__file__).parents[3]
BUNDLES = sorted(path.parents[1] for path in ROOT.glob("bundles/*/configs/metadata.json"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDED = {
    each.name: each for each in map(Requirement, PROJECT["dependencies"] + PROJECT["optional-dependencies"]["features"])
}


def least(package):
    """The oldest version that pip takes for what pyproject.toml says."""
    (bound,) = NEEDED[package].specifier if package in NEEDED and NEEDED[package].specifier else [None]
    return bound.version if bound else "0.1.0"


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_oldest_versions_that_pip_installs_run_every_bundle(bundle, monkeypatch):
    monkeypatch.setattr("monai_xr.workflows.bundle_running.bundle_folders.version", least)
    check_versions(bundle)


def test_package_below_the_declared_range_is_refused(monkeypatch):
    monkeypatch.setattr(
        "monai_xr.workflows.bundle_running.bundle_folders.version",
        lambda name: "3.11.9" if name == "mlflow" else least(name),
    )
    with pytest.raises(ConfigurationError, match=r"needs mlflow>=3\.12, found 3\.11\.9 .* pip install 'mlflow>=3\.12'"):
        check_versions(BUNDLES[0])


def test_bundle_of_a_newer_monai_xr_is_refused(tmp_path, monkeypatch):
    metadata = json.loads((BUNDLES[0] / "configs" / "metadata.json").read_text())
    metadata["required_packages_version"] = {"monai-xr": "7.3.1"}
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ConfigurationError, match=r"needs monai-xr>=7\.3, found"):
        check_versions(tmp_path)


def test_versions_a_bundle_was_made_with_are_in_the_declared_ranges():
    for bundle in BUNDLES:
        metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
        made_with = {"monai": metadata["monai_version"], "torch": metadata["pytorch_version"]}
        made_with |= {"numpy": metadata["numpy_version"], **metadata["required_packages_version"]}
        for package, version in made_with.items():
            assert package == "monai-xr" or NEEDED[package].specifier.contains(version), (bundle.name, package)
