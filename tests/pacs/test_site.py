"""site.yaml is typed: what cannot be is refused with its place and the way out, and nothing in it is evaluated."""

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from monai_xr.errors import ConfigurationError
from monai_xr.pacs.site import Site, read_site

EXAMPLE = Path(__file__).parents[2] / "configs" / "site" / "hospital.example.yaml"


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "site.yaml"
        path.write_text(text)
        return read_site(path)

    return read


def test_the_example_is_a_site():
    site = read_site(EXAMPLE)
    assert site.peers["pacs"].ae_title == "HOSPITAL_PACS"
    assert str(site.receiver.host) == "127.0.0.1"
    assert [rule.name for rule in site.rules] == ["children", "frontal_chest"]


def test_paths_count_from_the_folder_of_the_file_and_the_rest_has_defaults(read, tmp_path):
    site = read("store: {folder: films}")
    assert site.store.folder == tmp_path / "films"
    assert str(site.receiver.host) == "127.0.0.1"
    assert site.peers == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("receiver: {ae_titel: X}", r"no key 'ae_titel' here; did you mean ae_title\? : site.yaml receiver"),
        ("sore: {}", r"no key 'sore' here; did you mean store\?"),
        ("receiver: {port: 0}", r"greater than or equal to 1 : site.yaml receiver.port"),
        ("receiver: {port: $PORT}", r"valid integer.* : site.yaml receiver.port"),
        ("receiver: {host: 10.0.0.300}", r"not a valid IPv4 address : site.yaml receiver.host : "),
        ("peers: {p: {ae_title: P, addresses: [10.0.0.0/99]}}", r"IPv4 network : site.yaml peers.p.addresses.0 : "),
        ("receiver: {ae_title: ' X'}", r"1 to 16 characters.* : site.yaml receiver.ae_title"),
        ("receiver: {ae_title: ABCDEFGHIJKLMNOPQ}", r"1 to 16 characters"),
        ("peers: {pacs: {ae_title: PACS, may_send: true}}", r"needs addresses.* : site.yaml peers.pacs"),
        ("peers: {pacs: {ae_title: PACS, addresses: [PACS]}}", r"site.yaml peers.pacs.addresses"),
        ("peers: {p: {ae_title: P, dicomweb: {url: 'http://user:word@host'}}}", r"site.yaml peers.p.dicomweb.url"),
        ("peers: {p: {ae_title: P, dicomweb: {url: host}}}", r"a URL begins with http:// .* : site.yaml peers.p"),
        ("retrieve: {peer: p, hours: [7pm-6am]}", r"hours look like 19:00-06:00 : site.yaml retrieve.hours.0"),
        ("rules: [{name: a b, then: keep}]", r"a name is 1 to 32 letters.* : site.yaml rules.0.name"),
        ("retrieve: {peer: pacs}", r"no peer pacs among peers"),
        ("store: {folder: a}\nstore: {folder: b}", r"a key is given twice : site.yaml line 1"),
        ("receiver: &one {}\nqueue: *one", r"aliases are not read : site.yaml line 3"),
        ("receiver: !!python/object/apply:os.system [echo]", r"could not determine a constructor"),
        ("- list", r"is a section with keys of its own"),
        ("[", r"site.yaml line"),
        ("[" * 5000, r"site.yaml"),
        ("x" * 2**21, r"more than 1048576 bytes : site.yaml"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(read, text, told):
    with pytest.raises(ConfigurationError, match=told):
        read(text if text[0] not in "rp" else f"store: {{folder: films}}\n{text}")


def sections(model):
    """A section of a site and all those below it."""
    yield model
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            for each in (kind, *get_args(kind)):
                if isinstance(each, type) and issubclass(each, BaseModel):
                    yield from sections(each)


@pytest.mark.parametrize("section", list(dict.fromkeys(sections(Site))), ids=lambda each: each.__name__)
def test_the_example_explains_every_key(section):
    text = EXAMPLE.read_text()
    assert [name for name in section.model_fields if not re.search(rf"\b{name}\b", text)] == []


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match=r"cannot be read .* : site.yaml : `monai-xr intake init` writes one"):
        read_site(tmp_path / "site.yaml")


def test_push_tells_that_the_store_cannot_be_made(monai_xr, tmp_path):
    (tmp_path / "file").touch()
    peers = "peers: {p: {ae_title: P, host: 127.0.0.1, port: 104}}\nsend: {peer: p}\n"
    (tmp_path / "site.yaml").write_text("store: {folder: file/store}\n" + peers)
    code, _, err = monai_xr("intake", "push")
    assert (code, "cannot be written (Not a directory) : store" in err) == (4, True)
