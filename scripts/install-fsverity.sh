#!/usr/bin/env bash
# Makes sure that there is the tool of fs-verity that our digests are compared with, and prints its path; prints nothing,
# and says so, where it can't be installed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

find_fsverity() {
    command -v fsverity 2>/dev/null
}

if ! find_fsverity; then
    if can_apt; then apt_install fsverity || true; fi
    find_fsverity || say "SKIPPED: comparison with fsverity (install it with: apt-get install fsverity)"
fi
