#!/usr/bin/env bash
# Makes sure that there is the tool of fs-verity that our digests are compared with, and prints `required` when there is: the
# value of CHOPMARK_TEST_FSVERITY that makes a missing one a failure. Says so where it can't be installed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if ! have fsverity && can_apt; then
    apt_install fsverity || true
fi
if have fsverity; then
    echo required
else
    say "missing: comparison with fsverity (install it with: apt-get install fsverity)"
fi
