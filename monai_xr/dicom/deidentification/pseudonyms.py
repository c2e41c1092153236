"""Derives pseudonyms, shifts of dates and new UIDs from a secret key: `Pseudonyms`.

All are made by HMAC-SHA256, so that the same key gives the same names in any run, on any machine and in any order, and
nobody without the key can tell or test whose they are.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256

from monai_xr.dicom.uids import uid_of_digest
from monai_xr.errors import ConfigurationError

KEY_BYTES = 32
MAX_SHIFT_DAYS = 3652
PATIENT_PREFIX = "XR-"


@dataclass(frozen=True)
class Pseudonyms:
    """What a key makes of identifiers.

    Args:
        key: At least 32 secret random bytes.

    Raises:
        ConfigurationError: The key is shorter.
    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < KEY_BYTES:
            raise ConfigurationError(f"a key of {len(self.key)} bytes", "key", f"at least {KEY_BYTES} random bytes")

    def _digest(self, purpose: str, *parts: str) -> bytes:
        """Digest the parts; each is preceded by its length, so that no two lists of parts look alike."""
        message = b"".join(
            len(data).to_bytes(8, "big") + data
            for data in (part.encode("utf-8", "surrogateescape") for part in (purpose, *parts))
        )
        return hmac.digest(self.key, message, sha256)

    def patient(self, identity: Sequence[str], prefix: str = PATIENT_PREFIX) -> str:
        """Give the pseudonym of a patient: the prefix and 16 hexadecimal digits."""
        return prefix + self._digest("patient", *identity)[:8].hex().upper()

    def uid(self, uid: str) -> str:
        """Give the new UID of a UID."""
        return uid_of_digest(self._digest("uid", uid))

    def tag(self, purpose: str, *parts: str) -> str:
        """Give 24 hexadecimal digits that stand for the parts in a log."""
        return self._digest(purpose, *parts)[:12].hex()

    def shifted(self, day: date, identity: Sequence[str]) -> date | None:
        """Give an earlier date: 1 to 3652 days, the same for all dates of a patient; None before the year 1."""
        days = 1 + int.from_bytes(self._digest("shift", *identity)[:8], "big") % MAX_SHIFT_DAYS
        try:
            return day - timedelta(days=days)
        except OverflowError:
            return None
