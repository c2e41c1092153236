"""Counts what a store holds, for a human and as text for Prometheus."""

import threading
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from monai_xr.data.files.locks import locked
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
    receiving = 1
    with closing(Index(index_of(site))) as index:
        with suppress(ConfigurationError), locked(site.store.folder, ConfigurationError("")):
            receiving = 0
        return {"receiving": receiving} | store_facts(site.store, index)


class Metrics:
    """Serves `/metrics`, and `/health`: 200, or 503 where no object is taken. No label tells anything of a patient."""

    def __init__(self, site: Site, store: ObjectStore, audit: Audit) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                status, text = 404, "/metrics or /health\n"
                if self.path == "/metrics":
                    status, text = 200, _metrics_text(store, audit)
                elif self.path == "/health":
                    status, text = (200, "accepting\n") if free_bytes(store.settings) > 0 else (503, "no space\n")
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode("ascii"))

            def log_message(self, format: str, *values: Any) -> None:
                """Say nothing."""

        receiver = site.receiver
        self._server = ThreadingHTTPServer((str(receiver.metrics_host), receiver.metrics_port or 0), Handler)
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


def _metrics_text(store: ObjectStore, audit: Audit) -> str:
    """Write facts and counts in the text format of Prometheus."""
    lines = []
    for name, number in store_facts(store.settings, store.index).items():
        lines += [f"# TYPE {_PREFIX}_{name} gauge", f"{_PREFIX}_{name} {number}"]
    lines.append(f"# TYPE {_PREFIX}_events_total counter")
    for (event, result), number in sorted(audit.counts.items()):
        lines.append(f'{_PREFIX}_events_total{{event="{event}",result="{result}"}} {number}')
    return "\n".join(lines) + "\n"
