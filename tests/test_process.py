"""What a process that computes does with its imports and with memory that tensors give back."""

import subprocess
import sys

import pytest


def told_by(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout


def test_what_was_imported_is_not_looked_through_when_the_process_ends():
    code = "import gc\nfrom monai_xr.progress import loading\nloading('numpy')\n"
    code += "print(gc.isenabled(), gc.get_freeze_count() > 10_000)"
    assert told_by(code) == "True True\n"


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has mallopt")
@pytest.mark.parametrize("in_thread", [False, True])
def test_memory_that_is_given_back_is_used_again_without_the_kernel(in_thread: bool) -> None:
    code = f"""
import resource, threading, sys
import numpy as np
from monai_xr.process import keep_freed_memory

def faults():
    np.ones(2**24)  # 128 MB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.ones(2**24)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

faults()
keep_freed_memory()
faults()
if {in_thread}:
    thread = threading.Thread(target=faults)
    thread.start()
    thread.join()
"""
    plain, *kept = map(int, told_by(code).split())
    assert plain > 100  # pages: 4 times 32,768 small ones, or as many as make up for it where they are huge
    assert all(each < plain / 10 for each in kept), (plain, kept)
