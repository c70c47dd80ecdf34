#!/usr/bin/env bash
# Installs DuckDB, builds in release mode, and measures reports over a million payments beside it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cd "$root"
"$root/scripts/install-build-tools.sh"
"$root/scripts/install-postgresql.sh"
if [ -f "$tools/env" ]; then . "$tools/env"; fi
CHOPMARK_BENCH_DUCKDB=$("$root/scripts/install-duckdb.sh")
export CHOPMARK_BENCH_DUCKDB
exec cargo run --release --locked --package chopmark-benches -- report
