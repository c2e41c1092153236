"""Run every bench of this folder, one after the other; exit 1 if one misses its bound."""

import subprocess
import sys
from pathlib import Path

benches = sorted(Path(__file__).parent.glob("bench_*.py"))
codes = []
for bench in benches:
    print(f"\n== {bench.stem.removeprefix('bench_')}", flush=True)
    codes.append(subprocess.run([sys.executable, str(bench)]).returncode)
raise SystemExit(any(codes))
