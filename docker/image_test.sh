#!/bin/sh
# Builds the CPU image of an app and runs it: no network, read-only root, no capabilities, not root. `make image-test`
#   docker/image_test.sh APP    the folder that `monai-xr export` wrote
set -eu
app=$(realpath "$1")
most=1200000000 # bytes, unpacked
python=${PYTHON:-python3}
cd "$(dirname "$0")/.."
. docker/engine.sh
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

image=localhost/monai-xr-app:test
build "$image" "$app/Dockerfile.cpu" "$app"
size=$($engine image inspect --format '{{.Size}}' "$image")
echo "image: $((size / 1000000)) MB unpacked, at most $((most / 1000000)) allowed"
[ "$size" -le "$most" ]

"$python" -m monai_xr phantoms "$work/input" --patients 2 --size 256 --no-manifest > /dev/null
mkdir "$work/output"
chmod 777 "$work/output"
chmod -R a+rX "$work"
confined="$limits --rm --network none --read-only --tmpfs /tmp --cap-drop all --security-opt no-new-privileges --memory 2g"
mounts="--volume $work/input:/var/holoscan/input:ro --volume $work/output:/var/holoscan/output"
# shellcheck disable=SC2086
$engine run $confined $mounts "$image" --accept-phantoms
reports=$(find "$work/output" -name 'SR-*.dcm' | wc -l)
echo "reports: $reports of 2 studies"
[ "$reports" -eq 2 ]

probe='
import os, socket, importlib.util as u
print("uid", os.getuid())
for name in ("torch", "timm", "monai", "pip"):
    assert u.find_spec(name) is None, name
try:
    open("/opt/written", "w")
except OSError as error:
    print("root:", error.strerror)
else:
    raise SystemExit("the root can be written")
try:
    socket.create_connection(("192.0.2.1", 80), 2)
except OSError as error:
    print("network:", error.strerror)
else:
    raise SystemExit("there is a network")
held = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff"))
print("capabilities:", held)
raise SystemExit(int(held, 16) != 0 or os.getuid() == 0)
'
# shellcheck disable=SC2086
$engine run $confined --entrypoint python3 "$image" -c "$probe"
echo "image test: passed"
