"""`monai-xr intake init` asks a few questions and writes a first site.yaml, checked."""

import inspect
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from monai_xr.cli.intake import SITE_FILE, SiteFile, intake
from monai_xr.errors import ConfigurationError

_HEAD = "# The intake of one hospital; {name} beside it explains every key.\n"


class Question(NamedTuple):
    """What is asked: the name of its option, its words, the answer of those who press Enter, and its kind in a site."""

    name: str
    text: str
    default: str | None = None
    kind: str = ""


QUESTIONS = (
    Question("store", "Folder for received films (fast disk, much space)", "intake"),
    Question("ae_title", "Our AE title", "MONAI_XR", "AETitle"),
    Question("listen", "Address of this machine that we listen on", "127.0.0.1", "Address"),
    Question("port", "Our port", "11112", "Port"),
    Question("peer", "A short name for the PACS", "pacs"),
    Question("peer_ae_title", "Its AE title", None, "AETitle"),
    Question("peer_host", "Its host name or address", None, "Host"),
    Question("peer_port", "Its DICOM port", "104", "Port"),
    Question("web_url", "URL of its DICOMweb service, empty if there is none", "", "WebURL"),
    Question("web_user", "Our user name there", ""),
    Question("web_password_file", "File with our password there (chmod 600)", ""),
    Question("method", "How films are fetched: c-move, c-get or wado", "c-move", "Method"),
    Question("hours", "When they may be fetched, as in 19:00-06:00; empty for any time", "", "Hours"),
    Question("rate", "Films a minute, at most", "60", "PositiveFloat"),
    Question("key", "Secret file for pseudonyms; made if absent", "site.key"),
    Question("dataset", "Folder of the de-identified data set", "dataset"),
)
_OF_DICOMWEB = ("web_user", "web_password_file")


def init(
    config: SiteFile = SITE_FILE,
    defaults: Annotated[bool, typer.Option("--defaults", help="Ask nothing that has a default.")] = False,
    accept_phantoms: Annotated[bool, typer.Option("--accept-phantoms", help="Let phantoms in, to try it.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    **given: str | None,
) -> None:
    """Write site.yaml by a few questions; an answer given as an option is not asked for."""
    if config.exists() and not overwrite:
        raise ConfigurationError("is there already", config, "edit it, or give --overwrite")

    def ask(question: Question) -> str:
        if defaults and question.default is not None:
            return question.default
        while True:
            try:
                answer = str(typer.prompt(question.text, default=question.default))
            except typer.Abort:
                option = "--" + question.name.replace("_", "-")
                raise ConfigurationError(f"no answer to {question.text!r}", option, "give it as an option") from None
            if not (why := _against(question, answer)):
                return answer
            typer.echo(f"  {why}")

    answers = _ask_all(given, ask)
    _write_site(config, answers, phantoms=accept_phantoms)
    ours = "{ae_title}, address {listen}, port {port}".format(**answers)
    typer.echo(f"{config} written; enter us at the PACS as a peer and a destination: AE title {ours}.")
    typer.echo("Then start `monai-xr intake serve`, and in a second window `monai-xr intake check`.")


def _ask_all(given: Mapping[str, str | None], ask: Callable[[Question], str]) -> dict[str, str]:
    """Take the answers that are given, and ask for the others; what DICOMweb needs only where there is some."""
    answers: dict[str, str] = {}
    for question in QUESTIONS:
        value = given.get(question.name)
        moot = question.name in _OF_DICOMWEB and not answers["web_url"]
        answers[question.name] = value if value is not None else "" if moot else ask(question)
    return answers


def _against(question: Question, answer: str) -> str:
    """Tell in words why an answer cannot be; "" where it can."""
    from pydantic import TypeAdapter, ValidationError

    from monai_xr.pacs import site

    if question.kind == "Host":
        return "" if _addresses(answer) else "no address of it is known here: give its address"
    if not question.kind or answer == question.default:
        return ""
    try:
        TypeAdapter(getattr(site, question.kind)).validate_python(answer)
    except ValidationError as error:
        return str(error.errors(include_url=False)[0]["msg"])
    return ""


def _write_site(path: Path, answers: Mapping[str, str], *, phantoms: bool) -> None:
    """Write site.yaml, if it would be one, and beside it the example that explains it; else nothing."""
    import yaml

    from monai_xr.data.files.output import write_bytes, write_text
    from monai_xr.pacs.site import EXAMPLE, example, parse_site

    text = _HEAD.format(name=EXAMPLE) + yaml.safe_dump(_site(answers, phantoms), sort_keys=False)
    parse_site(text.encode(), path)
    write_text(path, text)
    write_bytes(path.with_name(EXAMPLE), example())


def _site(answers: Mapping[str, str], phantoms: bool) -> dict[str, Any]:
    typed: dict[str, Any] = {name: int(value) if value.isdecimal() else value for name, value in answers.items()}
    name, dataset = answers["peer"], answers["dataset"].rstrip("/")
    peer = {"ae_title": answers["peer_ae_title"], "host": answers["peer_host"], "port": typed["peer_port"]}
    if answers["method"] == "c-move":  # else it need not call us
        if not (addresses := _addresses(answers["peer_host"])):
            raise ConfigurationError("has no address that is known here", "--peer-host", "give its address")
        peer |= {"addresses": addresses, "may_send": True}
    if answers["web_url"]:
        web = {"url": "web_url", "user": "web_user", "password_file": "web_password_file"}
        peer["dicomweb"] = {key: answers[name] for key, name in web.items() if answers[name]}
    retrieve = {"peer": name, "method": answers["method"], "images_per_minute": typed["rate"]}
    chest = {"modality": ["CR", "DX", "RG"], "body_part": ["*CHEST*", "*THORAX*", "*LUNG*", ""]}
    return {
        "store": {"folder": answers["store"]},
        "receiver": {"ae_title": answers["ae_title"], "host": answers["listen"], "port": typed["port"]},
        "peers": {name: peer},
        "rules": [  # `monai-xr intake explain FILE` tries them
            {"name": "lateral", "then": "ignore", "view": ["LL", "RL", "LATERAL", "LAT"]},
            {"name": "chest", "then": "keep", **chest},
        ],
        "retrieve": retrieve | ({"hours": [answers["hours"]]} if answers["hours"] else {}),
        "send": {"peer": name, "method": "stow" if answers["method"] == "wado" else "c-store"},
        "queue": {"ask": name},
        "deidentification": {
            "folder": f"{dataset}.deidentified",
            "key": answers["key"],
            "accept_phantoms": phantoms,
        },
        "dataset": {"folder": dataset},
    }


def _addresses(host: str) -> list[str]:
    """The addresses that associations of the peer come from, as far as its name tells."""
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None)})
    except OSError:
        return []


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each question."""
    kinds = {each.name: Annotated[str | None, typer.Option(help=f"{each.text}.")] for each in QUESTIONS}
    own = [each for each in inspect.signature(command).parameters.values() if each.kind is not each.VAR_KEYWORD]
    options = [inspect.Parameter(name, own[0].kind, default=None, annotation=kind) for name, kind in kinds.items()]
    command.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in [*own, *options]}
    return command


intake.command()(_with_options(init))
