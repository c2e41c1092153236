"""Running a bundle with the checks that `monai.bundle run` lacks: knobs, versions, one-line failures."""

import inspect
import logging
import pydoc
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ignite.engine import Events
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_xr.data.output import write_text
from monai_xr.errors import ConfigurationError
from monai_xr.exits import known_cause
from monai_xr.handlers.run_record import without_folders
from monai_xr.settings import NAME_KNOBS, PATH_KNOBS
from monai_xr.workflows.bundle_folders import check_versions, nearest


def run_bundle(
    bundle: Path, run_id: str, config: str, overrides: Mapping[str, Any], *, overlays: Sequence[Path] = ()
) -> Path:
    """Run one run id of a bundle.

    Args:
        bundle: Folder of the bundle.
        run_id: `training`, `evaluating` or `inference`.
        config: Name of the config file in `configs`, without its ending.
        overrides: Knobs by id, as on the command line of `monai.bundle run`; paths and names are taken as they are.
        overlays: Further config files, merged in order.

    Returns:
        The output folder of the run.

    Raises:
        XrError: Of the kind that fits; also where MONAI would have wrapped it into a traceback.
        SystemExit: A training that a signal stopped.
    """
    files = [bundle / "configs" / f"{config}.yaml", *overlays]
    for file in files:
        if not file.is_file():
            raise ConfigurationError("no such config file", file)
    check_versions(bundle)
    check_knobs(files, overrides)
    logging.getLogger("monai.bundle.workflows").setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*arbitrary code.*")
            workflow = ConfigWorkflow(
                [str(file) for file in files],
                meta_file=str(bundle / "configs" / "metadata.json"),
                logging_file=str(bundle / "configs" / "logging.conf"),
                run_id=run_id,
                **{knob: _as_it_is(knob, value) for knob, value in overrides.items()},
            )
            workflow.initialize()
        if run_id == "training":
            trainer = workflow.parser.get_parsed_content("train::trainer")
            trainer.add_event_handler(Events.STARTED, lambda: _keep_config(workflow.parser))
        workflow.run()
        workflow.finalize()
        return Path(workflow.parser.get_parsed_content("output_dir"))
    except Exception as error:
        raise known_cause(error) from error


def _keep_config(parser: ConfigParser) -> None:
    """Write the merged config as `config.yaml` beside the run that it started.

    Folders above the data are left out of it: they may be named after people.
    """
    folder = Path(parser.get_parsed_content("output_dir"))
    content = {name: without_folders(value) for name, value in parser.get().items() if name != parser.meta_key}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    write_text(folder / "config.yaml", text)


def _as_it_is(knob: str, value: Any) -> Any:
    """Keep MONAI from reading a path or name as a reference, an expression, a macro or an id."""
    if knob not in PATH_KNOBS | NAME_KNOBS:
        return value
    if isinstance(value, list | tuple):
        return [_as_it_is(knob, each) for each in value]
    if not isinstance(value, str) or not (value.startswith(("@", "$", "%")) or "#" in value):
        return value
    quoted = repr(value)
    for sign in "@%#$":
        quoted = quoted.replace(sign, f"\\x{ord(sign):02x}")
    return f"${quoted}"


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
                raise ConfigurationError("no such knob", knob, nearest(name, choices))


def _arguments(component: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments that the target of a component takes; none where it is no component."""
    target = pydoc.locate(str(component.get("_target_", "")))
    return inspect.signature(target).parameters if callable(target) else {}
