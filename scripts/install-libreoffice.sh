#!/usr/bin/env bash
# Makes sure that there is a LibreOffice, with which the long tests open exported tables, and prints its path.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

find_libreoffice() {
    command -v soffice 2>/dev/null || command -v libreoffice 2>/dev/null
}

if ! find_libreoffice; then
    if can_apt; then apt_install libreoffice-calc-nogui; fi
    find_libreoffice || die "LibreOffice is needed to open exported tables; install it with: apt-get install libreoffice-calc-nogui"
fi
