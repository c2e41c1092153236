"""Running a bundle with the checks that `monai.bundle run` lacks: knobs, versions, one-line failures."""

import inspect
import logging
import pydoc
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from monai_xr.errors import ConfigurationError
from monai_xr.exits import known_cause
from monai_xr.settings import NAME_KNOBS, PATH_KNOBS
from monai_xr.workflows.bundle_running.bundle_folders import check_versions, config_files, nearest
from monai_xr.workflows.bundle_running.overlays import check_overlays
from monai_xr.workflows.bundle_running.plain_command import literal
from monai_xr.workflows.bundle_running.settings_list import SettingsList

_TEXTS = PATH_KNOBS | NAME_KNOBS


def run_bundle(
    bundle: Path, run_id: str, config: str | Path, overrides: Mapping[str, Any], *, overlays: Sequence[Path] = ()
) -> Path:
    """Run one run id of a bundle.

    Args:
        bundle: Folder of the bundle.
        run_id: `training`, `evaluating` or `inference`.
        config: Name of the config file in `configs`, without its ending; or a whole config elsewhere, as runs keep it.
        overrides: Knobs by id, as on the command line of `monai.bundle run`; paths and names are taken as they are.
        overlays: Further config files, merged in order; those beside `config` by their names alone.

    Returns:
        The output folder of the run.

    Raises:
        XrError: Of the kind that fits; also where MONAI would have wrapped it into a traceback.
        SystemExit: A training that a signal stopped.
    """
    files = config_files(bundle, config, overlays)
    check_versions(bundle)
    check_overlays(files)
    check_knobs(files, overrides)
    SettingsList(files).check_paths(overrides)
    logging.getLogger("monai.bundle.workflows").setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*arbitrary code.*")
            workflow = ConfigWorkflow(
                [str(file) for file in files],
                meta_file=str(bundle / "configs" / "metadata.json"),
                logging_file=str(bundle / "configs" / "logging.conf"),
                run_id=run_id,
                **{knob: literal(value) if knob in _TEXTS else value for knob, value in overrides.items()},
            )
            workflow.initialize()
        workflow.run()
        workflow.finalize()
        return Path(workflow.parser.get_parsed_content("output_dir"))
    except Exception as error:
        cause = known_cause(error)
        if cause is error:
            raise
        raise cause from error


def check_knobs(files: Sequence[Path], overrides: Mapping[str, Any]) -> None:
    """Refuse knobs that the config does not have, unless they are arguments of the component they are set on.

    Raises:
        ConfigurationError: Naming the nearest knob.
    """
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    for knob in overrides:
        if knob.replace("#", "::") not in parser:
            parent, _, name = knob.replace("#", "::").rpartition("::")
            siblings = parser.get(parent, {}) if parent else parser.get()
            choices = {**siblings, **_arguments(siblings)} if isinstance(siblings, dict) else {}
            if name not in choices:
                raise ConfigurationError("no such setting", knob, nearest(name, choices))


def _arguments(component: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments that the target of a component takes; none where it is no component."""
    target = pydoc.locate(str(component.get("_target_", "")))
    return inspect.signature(target).parameters if callable(target) else {}
