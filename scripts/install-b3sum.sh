#!/usr/bin/env bash
# Makes sure that there is a b3sum, which the tests let check our lists, and prints its path; prints nothing where there is
# none for this machine.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

find_b3sum() {
    local name
    for name in "${CHOPMARK_TEST_B3SUM:-}" b3sum "$tools/b3sum"; do
        if [ -n "$name" ] && command -v "$name" 2>/dev/null; then return; fi
    done
    return 1
}

if ! find_b3sum; then
    if can_apt; then apt_install b3sum || true; fi
    find_b3sum || say "missing: there is no b3sum here; install it, or name it in CHOPMARK_TEST_B3SUM"
fi
