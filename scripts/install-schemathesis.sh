#!/usr/bin/env bash
# Fetches the API fuzzer that the tests run against the service, and prints the directory it is in: Schemathesis and what
# it needs, wheels only, each pinned by SHA-256 in scripts/schemathesis.lock.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

lock=$root/scripts/schemathesis.lock
directory=$tools/schemathesis-$(sha256_of "$lock" | cut -c 1-12)-python$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ ! -d "$directory" ]; then
    need_pip
    partial=$directory.partial-$$
    rm -rf "$partial"
    say "fetching schemathesis"
    python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --no-compile --root-user-action ignore \
        --only-binary :all: --require-hashes --requirement "$lock" --target "$partial" >&2 ||
        die "schemathesis could not be fetched; is there a network?"
    mv "$partial" "$directory"
fi
echo "$directory"
