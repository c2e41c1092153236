"""Serves MLflow's own pages of a store on this machine, and tells the address of a run."""

import os
import subprocess
import sys

from mlflow.exceptions import MlflowException

from monai_xr.errors import ConfigurationError, HostError, ModelError
from monai_xr.handlers.tracking.mlflow_run import connect
from monai_xr.handlers.tracking.mlflow_sender import ENVIRONMENT
from monai_xr.runs.tracking_store import Noted

_HOST = "127.0.0.1"


def run_address(noted: Noted, port: int) -> str:
    """Give the address of the page that shows a run.

    Raises:
        ModelError: The store does not have it.
    """
    try:
        experiment = connect(noted.uri).get_run(noted.run_id).info.experiment_id
    except MlflowException as error:
        raise ModelError(
            f"the MLflow store does not have this run ({error.error_code})",
            noted.run_id,
            "set MLFLOW_TRACKING_URI to the store that it was trained with",
        ) from None
    return f"{pages_address(noted.uri, port)}/#/experiments/{experiment}/runs/{noted.run_id}"


def list_address(run: str) -> str:
    """Give the address of the list that a run is in; without its end the page shows traces, of which there are none."""
    return f"{run.rpartition('/')[0]}?workflowType=machine_learning"


def pages_address(uri: str, port: int) -> str:
    """Give where the pages of a store are: with a server there, else here."""
    return uri.rstrip("/") if uri.startswith("http") else f"http://{_HOST}:{port}"


def serve_pages(noted: Noted, port: int) -> None:
    """Tell the addresses, and serve the pages until stopped; a server that is elsewhere serves them itself.

    Raises:
        ModelError: The store does not have the run.
        ConfigurationError: The address of a server holds a password.
        HostError: The server ends by itself.
    """
    if "@" in noted.uri:
        raise ConfigurationError("the address of the MLflow server holds a password", "MLFLOW_TRACKING_URI", "open it")
    address = run_address(noted, port)
    print(f"this run:  {address}\nall runs:  {list_address(address)}", flush=True)  # noqa: T201
    if noted.uri.startswith("http"):
        return
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", noted.uri]
    command += ["--host", _HOST, "--port", str(port), "--workers", "1"]
    print("Ctrl-C ends the server", flush=True)  # noqa: T201
    server = subprocess.Popen(
        command, env={**os.environ, **ENVIRONMENT, "PYTHONWARNINGS": "ignore"}, stdout=subprocess.DEVNULL
    )
    try:
        code = server.wait()
    except BaseException:
        server.terminate()
        server.wait()
        raise
    if code:
        raise HostError(f"the MLflow server ended with {code}", f"port {port}", "choose another with --port")
