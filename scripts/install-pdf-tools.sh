#!/usr/bin/env bash
# Makes sure that there are the fonts that PDFs are written with, and Poppler, with which the tests read them; prints
# `required` when there are: the value of CHOPMARK_TEST_PDF that makes a missing one a failure. Elsewhere the tests pass those
# parts over.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# Where the service looks for fonts unless told otherwise.
fonts=/usr/share/fonts

is_installed() {
    [ -n "$(find "$fonts" -name NotoSansCJK-Regular.ttc -print -quit 2>/dev/null)" ] && have pdftotext
}

if ! is_installed && can_apt; then
    apt_install fonts-noto-cjk poppler-utils || say "apt-get could not install fonts-noto-cjk and poppler-utils"
fi
if is_installed; then
    echo required
else
    say "missing: reports as PDF (install what they need with: apt-get install fonts-noto-cjk poppler-utils)"
fi
