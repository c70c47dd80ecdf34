#!/usr/bin/env bash
# Makes sure that there is a Chromium for the test that looks at the reference page, and prints its path.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

find_browser() {
    local name
    for name in "${CHOPMARK_TEST_BROWSER:-}" chromium chromium-browser google-chrome google-chrome-stable \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
        if [ -n "$name" ] && command -v "$name" 2>/dev/null; then return; fi
    done
    return 1
}

if ! find_browser; then
    if can_apt; then apt_install chromium; fi
    find_browser || die "a Chromium is needed to test the reference page; install one, or name it in CHOPMARK_TEST_BROWSER"
fi
