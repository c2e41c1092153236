"""Everything one hospital decides about its intake: `Site`, read from site.yaml, typed and checked.

Nothing in the file is evaluated: there are no expressions, no environment variables and no default passwords. What
each key means stands in `hospital.example.yaml`.
"""

import ssl
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, field_validator, model_validator

from monai_xr.data.files.typed_file import MAX_BYTES, Bad, Section, matching, parse_model
from monai_xr.errors import ConfigurationError
from monai_xr.pacs.rules import Rule

EXAMPLE = "hospital.example.yaml"


def _ae_title(text: str) -> str:
    """PS3.5 table 6.2-1."""
    if not 1 <= len(text) <= 16 or text != text.strip() or "\\" in text or not (text.isascii() and text.isprintable()):
        raise Bad("ae_title", "an AE title is 1 to 16 characters, without a backslash and without blanks around it")
    return text


Part = TypeVar("Part", bound=Section)
AETitle = Annotated[str, AfterValidator(_ae_title)]
Port = Annotated[int, Field(ge=1, le=65535)]
Limit = Annotated[float, Field(gt=0, le=7 * 86400)]
Count = Annotated[int, Field(ge=1, le=1000)]
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Method = Literal["c-move", "c-get", "wado"]
Hours = Annotated[str, matching(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", "hours look like 19:00-06:00")]
WebURL = Annotated[
    str, matching(r"https?://[^@\s]+", "a URL begins with http:// or https:// and has no user or password")
]


class TLS(Section):
    """Certificate and key of ours, and the authorities whose certificates we trust, as PEM files."""

    certificate: Path
    key: Path
    authorities: Path
    client_certificate_required: bool = True

    def server_context(self) -> ssl.SSLContext:
        """Make the context of our listener: TLS 1.2 or newer; by default peers must have certificates, too."""
        context = self._context(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED if self.client_certificate_required else ssl.CERT_OPTIONAL
        return context

    def client_context(self) -> ssl.SSLContext:
        """Make the context of a call to a peer, whose certificate must be good for its host name or address."""
        return self._context(ssl.PROTOCOL_TLS_CLIENT)

    def _context(self, protocol: int) -> ssl.SSLContext:
        for path in (self.certificate, self.key, self.authorities):
            if not path.is_file():
                raise ConfigurationError("no such file", path, "see tls in site.yaml")
        if self.key.stat().st_mode & 0o077:
            raise ConfigurationError("TLS key can be read or written by others", self.key, "chmod 600 it")
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
            context.load_verify_locations(self.authorities)
        except ssl.SSLError as error:
            what = f"certificate, key or authorities cannot be used ({error.reason})"
            raise ConfigurationError(what, self.certificate, "PEM files that belong together are needed") from None
        return context


class Store(Section):
    """Where received objects are kept, and when no more are taken."""

    folder: Path
    min_free_gb: NonNegativeFloat = 5.0
    max_object_mb: Annotated[int, Field(ge=1, le=4096)] = 256
    max_quarantine_gb: NonNegativeFloat = 20.0


class Receiver(Section):
    """Our ear on the network."""

    ae_title: AETitle = "MONAI_XR"
    host: Address = IPv4Address("127.0.0.1")
    port: Port = 11112
    tls: TLS | None = None
    metrics_host: Address = IPv4Address("127.0.0.1")
    metrics_port: Port | None = None
    associations: Annotated[int, Field(ge=1, le=256)] = 32
    associations_per_peer: Annotated[int, Field(ge=1, le=256)] = 20
    half_open: Annotated[int, Field(ge=1, le=1024)] = 64
    handshake_s: Limit = 5
    pdu_s: Limit = 30
    object_s: Limit = 600
    idle_s: Limit = 60


class DICOMweb(Section):
    """A peer's DICOMweb service; the password is the first line of a file that its owner alone may read."""

    url: WebURL
    user: str = ""
    password_file: Path | None = None
    authorities: Path | None = None


class Peer(Section):
    """A PACS or modality; `addresses` are those its associations come from, `host` and `port` where it listens."""

    ae_title: AETitle
    host: str = ""
    port: Port | None = None
    addresses: tuple[Network, ...] = ()
    may_send: bool = False
    timeout_s: Limit = 60
    query: Literal["c-find", "qido"] = "c-find"
    tls: TLS | None = None
    dicomweb: DICOMweb | None = None

    def comes_from(self, address: Address) -> bool:
        """Whether its associations come from an address."""
        return any(address in network for network in self.addresses)

    @model_validator(mode="after")
    def _can_be_told_from_others(self) -> "Peer":
        if self.may_send and not self.addresses:
            raise Bad("addresses", "a peer that may send needs addresses, for example [192.0.2.17]")
        return self


class Queue(Section):
    """When a study is taken, and what is tried again."""

    ask: str | None = None
    quiet_s: NonNegativeFloat = 60
    most_wait_s: NonNegativeFloat = 3600
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    tries: Count = 5
    backoff_s: NonNegativeFloat = 30
    study_timeout_s: PositiveFloat = 900


class Deidentification(Section):
    """What `monai-xr deidentify` is told, with a folder and a key for all data sets."""

    folder: Path
    key: Path
    shift_dates: bool = False
    keep_characteristics: bool = False
    accept_phantoms: bool = False
    accept_non_chest: bool = False
    allow_times: bool = False

    @property
    def admit(self) -> tuple[str, ...]:
        """Origins that are let in."""
        return ("patient", "phantom") if self.accept_phantoms else ("patient",)


class Dataset(Section):
    """What `monai-xr prepare` is told; the folder holds `main` and one data set for each name that a rule routes to."""

    folder: Path
    size: Annotated[int, Field(ge=1, le=4096)] = 256
    fit: Literal["squash", "pad", "crop"] = "squash"
    build_every_s: NonNegativeFloat = 900
    build_timeout_s: PositiveFloat = 6 * 3600


class HandOver(Section):
    """A command that is started for each study that is in the data set: program and arguments, no shell."""

    folder: Path
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    timeout_s: PositiveFloat = 600

    @field_validator("command")
    @classmethod
    def _known_placeholders(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        known = ("study", "version", "predecessor", "objects", "images", "output")
        try:
            "\0".join(command).format(**dict.fromkeys(known, ""))
        except (KeyError, IndexError, ValueError, AttributeError):
            raise Bad("braces", f"only these stand in braces: {', '.join(known)}") from None
        return command


class Retrieve(Section):
    """How studies are fetched without loading a PACS that is in use."""

    peer: str
    method: Method = "c-move"
    hours: tuple[Hours, ...] = ()
    images_per_minute: PositiveFloat = 60
    tries: Count = 5
    deadline_s: Limit = 12 * 3600


class Send(Section):
    """Where results go."""

    peer: str
    method: Literal["c-store", "stow"] = "c-store"
    tries: Count = 20
    backoff_s: Limit = 60


class Site(Section):
    """One hospital's intake."""

    store: Store
    receiver: Receiver = Receiver()
    peers: dict[str, Peer] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    queue: Queue = Queue()
    deidentification: Deidentification | None = None
    dataset: Dataset | None = None
    hand_over: HandOver | None = None
    retrieve: Retrieve | None = None
    send: Send | None = None

    @model_validator(mode="after")
    def _peers_are_there(self) -> "Site":
        names = [self.queue.ask, *(part.peer for part in (self.retrieve, self.send) if part)]
        for name in filter(None, names):
            if name not in self.peers:
                raise Bad("peer", "there is no peer {name} among peers", {"name": name})
        return self


def required(section: Part | None, name: str) -> Part:
    """Give a section that a command cannot do without."""
    if section is None:
        raise ConfigurationError(f"no section {name}", "site.yaml", "name its peer and method")
    return section


def read_site(path: Path) -> Site:
    """Read and check site.yaml; raises ConfigurationError where it, a key or a value in it cannot be."""
    try:
        with path.open("rb") as file:
            return parse_site(file.read(MAX_BYTES + 1), path)
    except OSError as error:
        way_out = "`monai-xr intake init` writes one"
        raise ConfigurationError(f"cannot be read ({error.strerror})", path, way_out) from None


def parse_site(data: bytes, path: Path) -> Site:
    """Check what stands, or is to stand, in the file at a path; raises as `read_site` does."""
    return parse_model(Site, data, path, f"see {EXAMPLE}, which `monai-xr intake init` writes")


def example() -> bytes:
    """Give the commented example, from the installed package or the sources."""
    beside = Path(__file__).with_name(EXAMPLE)
    return (beside if beside.exists() else Path(__file__).parents[2] / "configs" / "site" / EXAMPLE).read_bytes()
