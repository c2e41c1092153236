"""Runs the steps of a study by Dask, on this machine or on a cluster that runs already: `runner`."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_xr.data.files.locks import locked
from monai_xr.disk import make_folder
from monai_xr.errors import ConfigurationError
from monai_xr.progress import progress_bar
from monai_xr.workflows.studies.steps import Done, Kinds, Step, carry_out

LOCK, LOG = ".study.lock", "workers.log"  # in the folder of a study
OPENINGS, FINGERPRINT = "openings.jsonl", "fingerprint.json"
_WAY_OUT = "pip install 'monai-xr[scale]'"


@dataclass
class Runner:
    """Does steps; a step that fails stops only what reads it.

    Args:
        client: Of Dask.
        root: Folder of the study.
        kinds: The functions by kind.
        futures: Of the steps given so far, by key.
        labels: Of the same.
    """

    client: Any
    root: Path
    kinds: Kinds
    futures: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def run(self, steps: Sequence[Step], what: str) -> dict[str, Done]:
        """Do the steps that are not done yet, each behind those that it reads; give what each left, by key.

        Args:
            steps: To do.
            what: Is counted.
        """
        from distributed import as_completed

        for step in steps:
            if step.key not in self.futures:
                self.futures[step.key] = self._submitted(step)
        wanted, left = list({step.key: self.futures[step.key] for step in steps}.values()), dict[str, Done]()
        ended = as_completed(wanted, loop=self.client.loop, with_results=True, raise_errors=False)
        with progress_bar(what) as report:
            for number, (future, result) in enumerate(ended, 1):
                left[future.key] = result if isinstance(result, Done) else self._died(future.key, result)
                report(number, len(wanted))
        return left

    def _died(self, key: str, result: Any) -> Done:
        """Give the failure of a step whose workers died again and again, or of one that reads it, as Dask tells it."""
        error = result[1] if isinstance(result, tuple) else result
        label = self.labels.get(getattr(error, "task", key), key)
        return Done(error=f"{label}: {type(error).__name__}: the process ended each time, killed or for want of memory")

    def _submitted(self, step: Step) -> Any:
        inputs = {role: self.futures[each.key] for role, each in step.inputs.items()}
        self.labels[step.key] = step.label or step.kind
        bare = Step(step.kind, step.settings, {}, step.label)
        options = {"key": step.key, "pure": False, "priority": -len(self.futures)}
        return self.client.submit(carry_out, self.root, bare, inputs, self.kinds, **options)


@contextmanager
def runner(
    root: Path, kinds: Kinds, *, workers: int = 2, scheduler: str = "", patience_s: float = 20
) -> Iterator[Runner]:
    """Give what does the steps of a study, with workers as long as it is held.

    Args:
        root: Folder of the study, which every worker sees under this path.
        kinds: The functions by kind.
        workers: Processes of this machine, each with one thread of torch.
        scheduler: Address of a Dask scheduler to use instead.
        patience_s: How long that may take to answer.

    Raises:
        ConfigurationError: Dask is not installed, its scheduler does not answer, or another process runs this study.
    """
    root = make_folder(root.absolute())
    refusal = ConfigurationError("process {} runs this study", root, "wait for it, or choose another --output")
    stopped: BaseException | None = None
    try:
        with locked(root / LOCK, refusal), _client(root, workers, (scheduler, patience_s)) as client:
            try:
                yield Runner(client, root, kinds)
            except BaseException as error:
                stopped = error
                raise
    except TimeoutError:  # of workers that end slowly, each in the middle of a step
        if stopped:
            raise stopped from None


@contextmanager
def _client(root: Path, workers: int, scheduler: tuple[str, float]) -> Iterator[Any]:
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise ConfigurationError("Dask is not installed", "study", _WAY_OUT) from None
    address, patience_s = scheduler
    if address:
        try:
            with Client(address, timeout=patience_s, set_as_default=False) as client:
                yield client
        except (OSError, TimeoutError) as error:
            raise ConfigurationError(
                f"no scheduler answers ({error})", "--scheduler", "start `dask scheduler`"
            ) from None
        return
    logging.getLogger("distributed.nanny").setLevel(logging.ERROR)  # it warns of workers that end slowly
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    with (
        dask.config.set({"distributed.worker.daemon": False, "distributed.scheduler.worker-saturation": 1.0}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
            local_directory=str(root / "cache"),
            env=one_thread,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        cluster.adapt(minimum=workers, maximum=workers)  # Dask gives up a worker that dies while it starts
        client.register_plugin(_quiet(str(root / LOG)))
        yield client


def _quiet(log: str) -> Any:
    """Give a plugin that turns what trainings of a worker print to a file, so that there is one progress view."""
    from distributed import WorkerPlugin

    class Quiet(WorkerPlugin):
        """Of each worker, also one that takes the place of another."""

        name = "monai_xr-quiet"

        def setup(self, worker: Any) -> None:
            handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            for number, stream in ((1, sys.stdout), (2, sys.stderr)):
                stream.flush()
                os.dup2(handle, number)
            os.close(handle)

    return Quiet()
