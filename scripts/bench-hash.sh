#!/usr/bin/env bash
# Installs the programs that hashing is measured beside, builds in release mode, and measures.
#
# CHOPMARK_BENCH_DIRECTORY says where the data lie while it runs (up to 4 GiB at a time); otherwise the system's directory
# for temporary files.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cd "$root"
"$root/scripts/install-build-tools.sh"
"$root/scripts/install-fsverity.sh" >/dev/null
have openssl || { can_apt && apt_install openssl; } || die "openssl is needed; install it"

# Debian's b3sum is of 2022; what is published now is several times as fast on some machines.
b3sum=$tools/b3sum-1.8.7
if [ ! -x "$b3sum/bin/b3sum" ]; then
    say "building b3sum 1.8.7"
    cargo install --quiet --locked --root "$b3sum" b3sum@1.8.7 >&2
fi

venv=$tools/model-signing-1.1.1
if [ ! -d "$venv" ]; then
    say "fetching model_signing 1.1.1"
    rm -rf "$venv.partial"
    python3 -m venv "$venv.partial" 2>/dev/null ||
        { can_apt && apt_install python3-venv && python3 -m venv "$venv.partial"; } ||
        die "python3 with venv is needed; install it with: apt-get install python3-venv"
    # It imports pyOpenSSL without asking for it.
    "$venv.partial/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir \
        model_signing==1.1.1 pyopenssl==26.4.0 >&2 || die "model_signing could not be fetched; is there a network?"
    mv "$venv.partial" "$venv"
fi

cargo build --release --locked --package chopmark --package chopmark-benches
release=${CARGO_TARGET_DIR:-$root/target}/release
CHOPMARK_BENCH_BIN=${CHOPMARK_BENCH_BIN:-$release/chopmark} CHOPMARK_BENCH_B3SUM=$b3sum/bin/b3sum \
    CHOPMARK_BENCH_PYTHON=$venv/bin/python "$release/chopmark-bench" hash
