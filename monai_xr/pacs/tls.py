"""The TLS section of a site in; contexts for our listener and for our calls, out."""

import ssl

from monai_xr.errors import ConfigurationError
from monai_xr.pacs.site import TLS


def server_context(tls: TLS) -> ssl.SSLContext:
    """Make the context of our listener: TLS 1.2 or newer; by default peers must have certificates, too."""
    context = _context(tls, ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED if tls.client_certificate_required else ssl.CERT_OPTIONAL
    return context


def client_context(tls: TLS) -> ssl.SSLContext:
    """Make the context of a call to a peer, whose certificate must be good for its host name or address."""
    return _context(tls, ssl.PROTOCOL_TLS_CLIENT)


def _context(tls: TLS, protocol: int) -> ssl.SSLContext:
    for path in (tls.certificate, tls.key, tls.authorities):
        if not path.is_file():
            raise ConfigurationError("no such file", path, "see tls in site.yaml")
    if tls.key.stat().st_mode & 0o077:
        raise ConfigurationError("TLS key can be read or written by others", tls.key, "chmod 600 it")
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        context.load_verify_locations(tls.authorities)
    except ssl.SSLError as error:
        what = f"certificate, key or authorities cannot be used ({error.reason})"
        raise ConfigurationError(what, tls.certificate, "PEM files that belong together are needed") from None
    return context
