"""Hashes ids of patients, studies and films, such that nobody without the site's key can make or test a hash.

`hashed` is the one place that hashes, and does so once: a `HashedId` stays as it is. All data folders of a site share
one key, so that a patient has one hash in all of them. The key is a file that only its owner may read, named by
MONAI_XR_KEY, else `monai_xr/site.key` in the user's configuration folder; it is made on first use. Ids that were hashed
with another key cannot be compared: `key_tag` tells keys apart.
"""

import os
import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from unicodedata import normalize

from monai_xr.data.files.key_file import open_key
from monai_xr.dicom.deidentification.pseudonyms import Pseudonyms
from monai_xr.disk import host_trouble

KEY_VARIABLE = "MONAI_XR_KEY"
_DIGITS = 16


class HashedId(str):
    """16 hexadecimal digits that stand for an id, or "" for none; any other `str` is an id as somebody wrote it."""

    __slots__ = ()


NO_ID = HashedId()


def hashed(identifier: str) -> HashedId:
    """Give the hash of an id; "" and hashes stay as they are.

    Raises:
        ConfigurationError: The key file can be read by others, or holds no key.
        HostError: It cannot be made or read.
    """
    if isinstance(identifier, HashedId):
        return identifier
    return HashedId(_site().tag("id", identifier)[:_DIGITS] if identifier else "")


def hashed_id(identifier: str) -> HashedId:
    """Give the hash of the id of a patient or group as `hashed`, the same for all the ways to write it.

    Tables lose leading zeros, write numbers as decimals and change case; a header and a table must name one patient.
    That two patients of one site differ in these alone is not to be expected; they would only share a split.
    """
    return identifier if isinstance(identifier, HashedId) else hashed(_as_one_writes_it(identifier))


def _as_one_writes_it(identifier: str) -> str:
    bare = "".join(normalize("NFKC", identifier).casefold().upper().split()).lstrip("'")
    bare = re.sub(r"^(\d+)\.0+$", r"\1", bare)
    return bare.lstrip("0") or bare[:1]


def ids_of_several(issuers: Mapping[str, Collection[str]], named: Collection[str] = ()) -> set[str]:
    """Give the ids that are of several patients: several hospitals issued them, and nothing leaves open which one.

    Args:
        issuers: Of each id, over all its films; "" for a film that names none.
        named: Ids in a table, which names no issuer.
    """
    return {each for each, names in issuers.items() if len(names) > 1 and "" not in names and each not in named}


def key_tag() -> str:
    """Give 8 hexadecimal digits that tell the key of this site from others."""
    return _site().tag("site key")[:8]


def signature(content: str) -> str:
    """Give what only who has the site's key can give for a text: 24 hexadecimal digits of its HMAC."""
    return _site().tag("signature", content)


def _site() -> Pseudonyms:
    return _opened(os.environ.get(KEY_VARIABLE, ""))


@cache
def _opened(named: str) -> Pseudonyms:
    path = Path(named).expanduser() if named else _default_key()
    what = "no folder for the key that ids are hashed with ({})"
    with host_trouble(path, f"name a file in {KEY_VARIABLE}", what=what):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return open_key(path)


def _default_key() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "monai_xr" / "site.key"
