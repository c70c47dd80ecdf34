#!/usr/bin/env bash
# openapi.sh write: regenerates openapi/chopmark.v1.json from the routes. openapi.sh check: fails where it is out of date.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

document=$root/openapi/chopmark.v1.json
fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
# The whole workspace is selected so that nothing is built twice: that is how the tests build it.
(cd "$root" && cargo build --quiet --locked --workspace --features chopmark/pdf --example openapi)
"$(target_directory)/debug/examples/openapi" >"$fresh"

case ${1:-} in
write)
    cat "$fresh" >"$document"
    ;;
check)
    diff -u "$document" "$fresh" || die "openapi/chopmark.v1.json is not what the routes say; run: make openapi"
    ;;
*)
    die "say write or check"
    ;;
esac
