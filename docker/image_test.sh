#!/bin/sh
# Builds the CPU image of an app and runs it: no network, read-only root, no capabilities, not root. `make image-test`
#   docker/image_test.sh APP    the folder that `monai-xr export` wrote
# With podman, or ENGINE=docker. BASE names another base image; where no registry answers, as root, one is made by
# debootstrap (then set HOME_OF_IMAGES to keep images and build in a folder of your own).
set -eu
app=$(realpath "$1")
engine=${ENGINE:-podman}
base=${BASE:-python:3.11-slim-bookworm}
most=1200000000 # bytes, unpacked
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$(dirname "$0")/.."

if [ "$engine" = podman ]; then
    [ -z "${HOME_OF_IMAGES:-}" ] || engine="podman --root $HOME_OF_IMAGES/graph --runroot $HOME_OF_IMAGES/run"
    ! command -v runc > /dev/null || engine="$engine --runtime runc" # crun fails on hosts with hybrid cgroups
fi
limits="--ulimit nofile=20000:20000 --ulimit nproc=4096:4096" # or a host with low limits refuses the start

if ! $engine image inspect "$base" > /dev/null 2>&1 && ! $engine pull "$base" > /dev/null 2>&1; then
    base=localhost/python-bookworm:1
    if ! $engine image inspect "$base" > /dev/null 2>&1; then
        echo "no registry answers: a base is made by debootstrap"
        debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/root" > /dev/null
        rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
        tar -C "$work/root" -cf - . | $engine import - "$base" > /dev/null
    fi
fi

image=localhost/monai-xr-app:test
set -- --build-arg "BASE=$base" --file "$app/Dockerfile.cpu" --tag "$image"
case $engine in podman*) set -- "$@" --network host ${PIP_CERT:+--volume "$PIP_CERT:$PIP_CERT:ro" --env "PIP_CERT=$PIP_CERT"} ;; esac
# shellcheck disable=SC2086
$engine build $limits "$@" "$app" > "$work/build.log" 2>&1 || { tail -20 "$work/build.log"; exit 1; }
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
