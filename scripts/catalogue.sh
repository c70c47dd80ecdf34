#!/usr/bin/env bash
# catalogue.sh write: regenerates store/src/audit/catalogue.txt, the schema that audits compare with, from the migrations.
# catalogue.sh check: fails where it is out of date. To be run after a new step in migrations/.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

case ${1:-} in
write | check)
    (cd "$root" && CHOPMARK_CATALOGUE=$1 cargo test --quiet --locked --workspace --features chopmark/pdf --test catalogue)
    ;;
*)
    die "say write or check"
    ;;
esac
