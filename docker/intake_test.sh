#!/bin/sh
# Builds orthanc and intake of compose.yaml, starts them as it says, and has films sent, fetched and prepared. `make intake-test`
# As image_test.sh; also needs dcmtk, and `docker compose` or podman-compose (COMPOSE names another).
set -eu
python=${PYTHON:-python3}
cd "$(dirname "$0")/.."
. docker/engine.sh
here=$work/docker
compose="${COMPOSE:-$([ "$is_podman" ] && echo podman-compose || echo docker compose)} --file $here/compose.yaml"
mkdir "$work/bin"
printf '#!/bin/sh\nexec %s "$@"\n' "$(command -v "${engine%% *}") $(echo "$engine" | cut -s -d' ' -f2-)" > "$work/bin/${engine%% *}"
chmod +x "$work/bin/${engine%% *}"
PATH=$work/bin:$PATH # what a compose tool starts
{ # netavark tells containers each other's names
    printf '[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]\n[network]\n'
    [ ! -x /usr/lib/podman/netavark ] || printf 'network_backend = "netavark"\n'
} > "$work/containers.conf"
export CONTAINERS_CONF="${CONTAINERS_CONF:-$work/containers.conf}"
trap '$compose down --volumes > /dev/null 2>&1; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

build monai-xr-orthanc docker/orthanc/Dockerfile docker/orthanc
build monai-xr-intake docker/intake/Dockerfile .
echo "image of the intake: $(($($engine image inspect --format '{{.Size}}' monai-xr-intake) / 1000000)) MB unpacked"

cp -r docker "$here"
sed -i 's/^deidentification:/&\n  accept_phantoms: true/; s/^queue:/&\n  quiet_s: 1/; s/^dataset:/&\n  build_every_s: 5/' "$here/intake/site.yaml"
chmod -R a+rX "$work"
mkdir -p -m 711 "$here/secrets"
password=$("$python" -c 'import secrets; print(secrets.token_hex(16))')
printf '%s\n' "$password" > "$here/secrets/orthanc_password"
printf '{"RegisteredUsers": {"intake": "%s"}}\n' "$password" > "$here/secrets/orthanc_users.json"
printf 'user = "intake:%s"\n' "$password" > "$here/secrets/orthanc_curl"
chmod 400 "$here"/secrets/*
chown 10001:10001 "$here"/secrets/*

container() { $engine ps --format '{{.Names}}' | grep "monai-xr[-_]$1"; }
until_it() { # seconds, what, command...
    left=$1 what=$2
    shift 2
    until "$@" > "$work/said" 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || { echo "$what: not in time"; cat "$work/said"; exit 1; }
        sleep 1
    done
    echo "$what: ok"
}
healthy() {
    [ -z "$is_podman" ] || $engine healthcheck run "$(container "$1")" # podman leaves that to systemd
    [ "$($engine inspect --format '{{.State.Health.Status}}' "$(container "$1")")" = healthy ]
}
start() {
    $compose up --detach --no-build --no-deps "$1" > "$work/up.log" 2>&1 || { cat "$work/up.log"; exit 1; }
    until_it 120 "$1: healthy" healthy "$1"
}
intake() { $engine exec "$(container intake)" monai-xr intake "$@" --config /etc/monai_xr/site.yaml; }
sent() { # file, option... of storescu, which proposes one compressed syntax at a time
    file=$1
    shift
    for syntax in -x= -xs -xv -xr -xt -xy -xx; do
        ! /usr/bin/storescu -R $syntax "$@" "$file" > "$work/said" 2>&1 || return 0
    done
    cat "$work/said"
    exit 1
}
has() { intake status | grep -q "^$1 *$2\$"; }

start orthanc
start intake
"$python" -m monai_xr phantoms "$work/films" --patients 6 --size 128 --no-manifest > /dev/null
set -- $(find "$work/films" -name '*.dcm' | sort)
sent "$1" -aet ORTHANC -aec MONAI_XR 127.0.0.1 11112
sent "$2" -aet ORTHANC -aec MONAI_XR 127.0.0.1 11112
has objects 2
echo "2 films sent to the intake: there"
shift 2
for film in "$@"; do sent "$film" -aet MONAI_XR -aec ORTHANC 127.0.0.1 4242; done
/usr/bin/echoscu -aet ORTHANC -aec MONAI_XR 127.0.0.1 11112
intake check
intake pull --all
has objects $(($# + 2))
echo "$# films sent to Orthanc: fetched by C-MOVE"
until_it 300 "worked on and in the data set" has studies_done 6
$engine exec "$(container intake)" sh -c 'wc -l < /data/dataset/main/manifest.csv'

for service in orthanc intake; do
    $engine exec "$(container $service)" sh -c '
        ! touch /written 2> /dev/null && [ "$(id -u)" = 10001 ] && grep -q "^CapEff:.0*$" /proc/self/status'
    echo "$service: root read-only, user 10001, no capabilities"
done
echo "intake test: passed"
