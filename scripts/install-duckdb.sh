#!/usr/bin/env bash
# Fetches DuckDB, beside which reports are measured and with which tests read datasets; prints the Python that has it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

venv=$tools/duckdb-2.0.1
if [ ! -d "$venv" ]; then
    say "fetching DuckDB 2.0.1"
    rm -rf "$venv.partial"
    python3 -m venv "$venv.partial" 2>/dev/null ||
        { can_apt && apt_install python3-venv && python3 -m venv "$venv.partial"; } ||
        die "python3 with venv is needed; install it with: apt-get install python3-venv"
    "$venv.partial/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir \
        duckdb==2.0.1 >&2 || die "DuckDB could not be fetched; is there a network?"
    mv "$venv.partial" "$venv"
fi
echo "$venv/bin/python"
