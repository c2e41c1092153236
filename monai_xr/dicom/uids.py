"""Makes UIDs under the UUID root 2.25 (PS3.5 section B.2) of digests: `uid_of_digest`."""

_VERSION_8 = (0xF000 << 64, 0x8000 << 64)  # RFC 9562 section 5.8: a UUID of our own making
_VARIANT = (0xC000 << 48, 0x8000 << 48)


def uid_of_digest(digest: bytes) -> str:
    """Give the UID of the UUID that the first 16 bytes of a digest make.

    >>> uid_of_digest(bytes(16))
    '2.25.604472133179351442128896'
    """
    number = int.from_bytes(digest[:16], "big")
    for mask, bits in (_VERSION_8, _VARIANT):
        number = number & ~mask | bits
    return f"2.25.{number}"
