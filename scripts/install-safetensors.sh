#!/usr/bin/env bash
# Fetches the safetensors package whose own parser the tests compare ours with, and prints the directory it is in; prints
# nothing where there is no wheel of it for this machine.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version=0.8.0
case $(uname -s)-$(uname -m) in
Linux-x86_64) sha256=fd6f3f93c9a0a7cc2788ee63fb763353d4bd2e89b0751bc78fcf7dda00bea774 ;;
*)
    say "missing: no wheel of safetensors is pinned for $(uname -s) on $(uname -m)"
    exit 0
    ;;
esac
directory=$tools/safetensors-$version
fetch_wheel "safetensors==$version" "$sha256" "$directory" \
    --platform manylinux2014_x86_64 --implementation cp --python-version 3.11 --abi abi3
echo "$directory"
