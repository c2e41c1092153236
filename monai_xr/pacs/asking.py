"""Answers to a few questions in; a first site.yaml, checked, out."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from monai_xr.data.files.output import write_text
from monai_xr.errors import ConfigurationError
from monai_xr.pacs.site import parse_site

_HEAD = "# The intake of one hospital; every key is explained in configs/site/hospital.example.yaml.\n"


@dataclass(frozen=True)
class Question:
    """What is asked: the name of its option, its words, and the answer of those who just press Enter."""

    name: str
    text: str
    default: str | None = None


QUESTIONS = (
    Question("store", "Folder for received films (fast disk, much space)", "intake"),
    Question("ae_title", "Our AE title", "MONAI_XR"),
    Question("listen", "Address of this machine that we listen on", "127.0.0.1"),
    Question("port", "Our port", "11112"),
    Question("peer", "A short name for the PACS", "pacs"),
    Question("peer_ae_title", "Its AE title"),
    Question("peer_host", "Its host name or address"),
    Question("peer_port", "Its DICOM port", "104"),
    Question("web_url", "URL of its DICOMweb service, empty if there is none", ""),
    Question("web_user", "Our user name there", ""),
    Question("web_password_file", "File with our password there (chmod 600)", ""),
    Question("method", "How films are fetched: c-move, c-get or wado", "c-move"),
    Question("hours", "When they may be fetched, as in 19:00-06:00; empty for any time", ""),
    Question("rate", "Films a minute, at most", "60"),
    Question("key", "Secret file for pseudonyms; made if absent", "site.key"),
    Question("dataset", "Folder of the de-identified data set", "dataset"),
)


def ask_all(given: Mapping[str, str | None], ask: Callable[[Question], str]) -> dict[str, str]:
    """Take the answers that are given, and ask for the others; what DICOMweb needs only where there is some."""
    answers: dict[str, str] = {}
    for question in QUESTIONS:
        value = given.get(question.name)
        moot = question.name in ("web_user", "web_password_file") and not answers["web_url"]
        answers[question.name] = value if value is not None else "" if moot else ask(question)
    return answers


def write_site(path: Path, answers: Mapping[str, str], *, phantoms: bool = False, overwrite: bool = False) -> None:
    """Write site.yaml, if it would be one.

    Raises:
        ConfigurationError: It is there already, or an answer cannot be; then nothing is written.
    """
    if path.exists() and not overwrite:
        raise ConfigurationError("is there already", path, "edit it, or give --overwrite")
    text = _HEAD + yaml.safe_dump(_site(answers, phantoms), sort_keys=False)
    parse_site(text.encode(), path)
    write_text(path, text)


def _site(answers: Mapping[str, str], phantoms: bool) -> dict[str, Any]:
    typed: dict[str, Any] = {name: int(value) if value.isdecimal() else value for name, value in answers.items()}
    peer = {"ae_title": answers["peer_ae_title"], "host": answers["peer_host"], "port": typed["peer_port"]}
    if answers["method"] == "c-move":  # else it need not call us
        peer |= {"addresses": _addresses(answers["peer_host"]), "may_send": True}
    if answers["web_url"]:
        web = {"url": "web_url", "user": "web_user", "password_file": "web_password_file"}
        peer["dicomweb"] = {key: answers[name] for key, name in web.items() if answers[name]}
    retrieve = {"peer": answers["peer"], "method": answers["method"], "images_per_minute": typed["rate"]}
    send = {"peer": answers["peer"], "method": "stow" if answers["method"] == "wado" else "c-store"}
    folder = f"{answers['dataset'].rstrip('/')}"
    return {
        "store": {"folder": answers["store"]},
        "receiver": {"ae_title": answers["ae_title"], "host": answers["listen"], "port": typed["port"]},
        "peers": {answers["peer"]: peer},
        "retrieve": retrieve | ({"hours": [answers["hours"]]} if answers["hours"] else {}),
        "send": send,
        "queue": {"ask": answers["peer"]},
        "deidentification": {
            "folder": f"{folder}.deidentified",
            "key": answers["key"],
            "accept_phantoms": phantoms,
        },
        "dataset": {"folder": folder},
    }


def _addresses(host: str) -> list[str]:
    """The addresses that associations of the peer come from, as far as its name tells."""
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None)})
    except OSError:
        raise ConfigurationError("has no address that is known here", "--peer-host", "give its address") from None
