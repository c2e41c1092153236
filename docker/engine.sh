# For the tests of images, which source it: $engine and its $limits, `build NAME DOCKERFILE CONTEXT` and $base, an image to
# build on. With podman, or ENGINE=docker. BASE names another base image; where no registry answers, as root, one is made
# by debootstrap (then set HOME_OF_IMAGES to keep images and build in a folder of your own).
engine=${ENGINE:-podman}
base=${BASE:-python:3.11-slim-bookworm}
work=$(mktemp -d)

is_podman=$([ "$engine" = podman ] && echo yes || true)
if [ "$is_podman" ]; then
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
        rm -rf "$work/root"
    fi
fi

build() {
    set -- --build-arg "BASE=$base" --tag "$1" --file "$2" "$3"
    [ -z "$is_podman" ] || set -- --format docker --network host ${PIP_CERT:+--volume "$PIP_CERT:$PIP_CERT:ro" --env "PIP_CERT=$PIP_CERT"} "$@"
    # shellcheck disable=SC2086 # another format than docker knows no health checks
    $engine build $limits "$@" > "$work/build.log" 2>&1 || { tail -20 "$work/build.log"; exit 1; }
}
