"""`python -m monai.bundle` as a process of its own, without its eight seconds of imports: `PlainCommand`.

One process imports MONAI and the package, and is forked for each command. A fork runs the module as `python -m` does,
or a script, with its own arguments, folder, environment and output, and ends as any process does. Several forks stand
for the ranks that `torchrun` starts.
"""

import json
import os
import signal
import socket
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

    def __call__(self, folder, *arguments, script=None, ranks=1):
        """Run one, or a script instead, in a folder; give what `subprocess.run` would, of all ranks together."""
        texts = [self.folder / name for name in ("out.txt", "err.txt")]
        for text in texts:
            text.write_text("")
        request = {"folder": str(folder), "arguments": list(map(str, arguments)), "environment": dict(os.environ)}
        request |= {"script": script and str(script), "ranks": ranks, "texts": list(map(str, texts))}
        print(json.dumps(request), file=self.process.stdin, flush=True)
        code = json.loads(self.process.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, *(text.read_text() for text in texts))

    def close(self):
        self.process.communicate(timeout=60)


def free_port():
    """Give a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def rank_environment(rank, ranks, port):
    """Give what `torchrun` tells a rank by its environment."""
    of_all = {"WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {name: str(value) for name, value in {"RANK": rank, "LOCAL_RANK": rank, **of_all}.items()}


def become(request, environment):
    """Turn this process into the one that was asked for."""
    os.chdir(request["folder"])
    os.environ |= {**request["environment"], "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment}
    for place, text in enumerate(request["texts"], start=1):
        os.dup2(os.open(text, os.O_WRONLY | os.O_APPEND), place)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to it
    sys.argv[1:] = [*([] if request["script"] else ["run"]), *request["arguments"]]
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
        request = json.loads(line)
        ranks, children = request["ranks"], []
        port = free_port() if ranks > 1 else None
        while len(children) < ranks and (child := os.fork()):
            children.append(child)
        if len(children) < ranks:  # a fork
            become(request, rank_environment(len(children), ranks, port) if port else {})
            if request["script"]:
                runpy.run_path(request["script"], run_name="__main__")
            else:
                runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
            break
        print(max(map(ended, children), key=abs), flush=True)  # noqa: T201
