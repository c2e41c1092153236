"""A store and its audit in; what is in it, as text for Prometheus and as a few numbers for a human, out."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from monai_xr.errors import ConfigurationError
from monai_xr.pacs.audit import Audit
from monai_xr.pacs.site import Site
from monai_xr.pacs.storing import ObjectStore, lock_folder

_PREFIX = "monai_xr_intake"


def store_facts(store: ObjectStore) -> dict[str, int]:
    """Count what a store holds, by state, and the space that is left above the watermark."""
    free = store.free_bytes()
    facts = store.index.counts() | {"quarantined_objects": len(list(store.quarantine.glob("*.dcm")))}
    return facts | {"free_bytes": free, "accepting": int(free >= 0)}


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
    """Give the facts of the store of a site, and whether a receiver serves it.

    Raises:
        ConfigurationError: There is no store yet.
    """
    handle = lock_folder(index_of(site).parent)
    if handle is not None:
        os.close(handle)
    store = ObjectStore(site.store)
    try:
        return {"receiving": int(handle is None)} | store_facts(store)
    finally:
        store.close()


def metrics_text(store: ObjectStore, audit: Audit) -> str:
    """Write both in the text format of Prometheus; no label tells anything of a patient."""
    lines = []
    for name, number in store_facts(store).items():
        lines += [f"# TYPE {_PREFIX}_{name} gauge", f"{_PREFIX}_{name} {number}"]
    lines.append(f"# TYPE {_PREFIX}_events_total counter")
    for (event, result), number in sorted(audit.counts.items()):
        lines.append(f'{_PREFIX}_events_total{{event="{event}",result="{result}"}} {number}')
    return "\n".join(lines) + "\n"


class Metrics:
    """Serves `/metrics`, and `/health`: 200, or 503 where no object is taken.

    Args:
        site: Where to listen.
        store: What is looked at.
        audit: What is counted.
    """

    def __init__(self, site: Site, store: ObjectStore, audit: Audit) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                accepting = store.free_bytes() >= 0
                if self.path == "/metrics":
                    self._answer(200, metrics_text(store, audit))
                elif self.path == "/health":
                    self._answer(200 if accepting else 503, "accepting\n" if accepting else "no space\n")
                else:
                    self._answer(404, "/metrics or /health\n")

            def _answer(self, status: int, text: str) -> None:
                body = text.encode("ascii")
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *values: Any) -> None:
                """Say nothing."""

        receiver = site.receiver
        self._server = ThreadingHTTPServer((str(receiver.metrics_host), receiver.metrics_port or 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def start(self) -> None:
        """Answer, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
