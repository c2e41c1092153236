"""`python -m monai.bundle` as a process of its own, without its eight seconds of imports: `PlainCommand`.

One process imports MONAI and the package, and is forked for each command. A fork runs the module as `python -m` does,
with its own arguments, folder, environment and output, and ends as any process does.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
_LOADED = (
    *("monai.bundle", "monai.engines", "torchmetrics", "timm", "mlflow.store.tracking.sqlalchemy_store"),
    *("monai_xr.engines", "monai_xr.handlers.usual", "monai_xr.transforms", "monai_xr.networks"),
    *("monai_xr.workflows.bundle_running.running", "monai_xr.runs.trained"),
)


class PlainCommand:
    """Runs plain MONAI commands one after the other.

    Args:
        folder: For their output.
    """

    def __init__(self, folder):
        self.folder = folder
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([sys.executable, __file__], env=environment, **pipes)

    def __call__(self, folder, *arguments):
        """Run one in a folder; give what `subprocess.run` would."""
        texts = [self.folder / name for name in ("out.txt", "err.txt")]
        request = {"folder": str(folder), "arguments": list(map(str, arguments)), "environment": dict(os.environ)}
        print(json.dumps({**request, "texts": list(map(str, texts))}), file=self.process.stdin, flush=True)
        code = json.loads(self.process.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, *(text.read_text() for text in texts))

    def close(self):
        self.process.communicate(timeout=60)


def become(request):
    """Turn this process into the one that was asked for."""
    os.chdir(request["folder"])
    os.environ |= {**request["environment"], "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for place, text in enumerate(request["texts"], start=1):
        os.dup2(os.open(text, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), place)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to it
    sys.argv[1:] = ["run", *request["arguments"]]
    sys.path[0] = request["folder"]


def ended(child):
    """Wait for the end of a child, ten minutes at most; give its exit code."""
    for _ in range(60_000):
        process, status = os.waitpid(child, os.WNOHANG)
        if process:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    import importlib
    import runpy

    for name in _LOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            become(json.loads(line))
            runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
            break
        sys.stdout.write(f"{ended(child)}\n")
        sys.stdout.flush()
