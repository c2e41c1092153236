"""A store in; what is in it, as a few numbers for a human and as text for Prometheus, out."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from monai_xr.data.files.locks import hold
from monai_xr.errors import ConfigurationError
from monai_xr.pacs.audit import Audit
from monai_xr.pacs.index import Index
from monai_xr.pacs.site import Site, Store
from monai_xr.pacs.storing import ObjectStore, free_bytes

_PREFIX = "monai_xr_intake"


def store_facts(settings: Store, index: Index) -> dict[str, int]:
    """Count what a store holds, by state, and the space that is left above the watermark."""
    free = free_bytes(settings)
    facts = index.counts() | {"quarantined_objects": len(list((settings.folder / "quarantine").glob("*.dcm")))}
    return facts | {"free_bytes": free, "accepting": int(free > 0)}


def index_of(site: Site) -> Path:
    """Give the index of the store of a site.

    Raises:
        ConfigurationError: There is no store yet.
    """
    index = site.store.folder / "index.db"
    if not index.is_file():
        raise ConfigurationError("there is no store yet", site.store.folder, "start `monai-xr intake serve`")
    return index


def site_facts(site: Site) -> dict[str, int]:
    """Give the facts of the store of a site, and whether a receiver serves it; raises as `index_of`."""
    index = Index(index_of(site))
    try:
        os.close(hold(site.store.folder, ConfigurationError(""))[0])
        receiving = 0
    except ConfigurationError:
        receiving = 1
    try:
        return {"receiving": receiving} | store_facts(site.store, index)
    finally:
        index.close()


class Metrics:
    """Serves `/metrics`, and `/health`: 200, or 503 where no object is taken. No label tells anything of a patient."""

    def __init__(self, site: Site, store: ObjectStore, audit: Audit) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                accepting = free_bytes(store.settings) > 0
                health = (200, "accepting\n") if accepting else (503, "no space\n")
                status, text = (200, metrics_text(store, audit)) if self.path == "/metrics" else health
                if self.path not in ("/metrics", "/health"):
                    status, text = 404, "/metrics or /health\n"
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode("ascii"))

            def log_message(self, format: str, *values: Any) -> None:
                """Say nothing."""

        receiver = site.receiver
        self._server = ThreadingHTTPServer((str(receiver.metrics_host), receiver.metrics_port or 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self.start = self._thread.start

    def close(self) -> None:
        """Stop."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


def metrics_text(store: ObjectStore, audit: Audit) -> str:
    """Write facts and counts in the text format of Prometheus."""
    lines = []
    for name, number in store_facts(store.settings, store.index).items():
        lines += [f"# TYPE {_PREFIX}_{name} gauge", f"{_PREFIX}_{name} {number}"]
    lines.append(f"# TYPE {_PREFIX}_events_total counter")
    for (event, result), number in sorted(audit.counts.items()):
        lines.append(f'{_PREFIX}_events_total{{event="{event}",result="{result}"}} {number}')
    return "\n".join(lines) + "\n"
