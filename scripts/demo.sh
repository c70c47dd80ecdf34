#!/usr/bin/env bash
# The main job from end to end, on a real model: found a registry, register a party, a model and a release archive, and
# verify them offline. Every exit code is checked; a wrong one ends this with an error.
#
# Works in a temporary directory and with settings of its own. KEEP=1 leaves the service running and says how to stop
# it; CHOPMARK_DEMO_BIN names a chopmark to use instead of building one.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# Nothing of the user's own set-up takes part.
unset CHOPMARK_URL CHOPMARK_KEY CHOPMARK_PARTY CHOPMARK_TRUST CHOPMARK_ACCEPT_PUBLIC_RECORD CHOPMARK_DATA_DIR \
    CHOPMARK_LISTEN CHOPMARK_FONTS DATABASE_URL

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$'\033[1m' plain=$'\033[0m'
else
    bold='' plain=''
fi

server=
work=

# Stops the service and removes every trace, however this script ends.
finish() {
    local status=$?
    trap - EXIT
    if [ -n "$server" ] && kill -TERM "$server" 2>/dev/null; then wait "$server" || true; fi
    if [ "$status" -ne 0 ] && [ "$status" -lt 128 ] && [ -f "$work/serve.log" ]; then
        say "the service said last:"
        tail -n 20 "$work/serve.log" >&2
    fi
    cd /
    if [ -n "$work" ]; then rm -rf "$work"; fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

title() {
    printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

# Shows a command as a person would type it.
show() {
    local word line=''
    for word; do
        case $word in
        *[!A-Za-z0-9_./:=,@%+-]*) line+=" '$word'" ;;
        *) line+=" $word" ;;
        esac
    done
    printf '\n%s$%s%s\n' "$bold" "$line" "$plain"
}

# expect <exit code> <command…>: shows a command, runs it, and insists on how it ends.
expect() {
    local wanted=$1 status=0
    shift
    show "$@"
    "$@" || status=$?
    if [ "$status" -ne "$wanted" ]; then die "\"$*\" ended with exit code $status, not $wanted"; fi
    if [ "$wanted" -ne 0 ]; then printf '(exit code %s)\n' "$status"; fi
}

run() {
    expect 0 "$@"
}

# --- what is needed --------------------------------------------------------------------------------------------------

"$root/scripts/install-postgresql.sh"
if [ -f "$tools/env" ]; then . "$tools/env"; fi
model=$("$root/scripts/install-model.sh")
if [ -z "${CHOPMARK_DEMO_BIN:-}" ]; then
    "$root/scripts/install-build-tools.sh"
    title "Building (the first time takes a few minutes)"
    show cargo build --package chopmark
    (cd "$root" && cargo build --package chopmark --locked)
    CHOPMARK_DEMO_BIN=$(target_directory)/debug/chopmark
fi
[ -x "$CHOPMARK_DEMO_BIN" ] || die "$CHOPMARK_DEMO_BIN is not a program"

# Started by root, PostgreSQL runs as another user, who has to get into this directory: not below /root, and not 0700.
for parent in /tmp /var/tmp; do
    if [ -w "$parent" ]; then work=$(mktemp -d "$parent/chopmark-demo.XXXXXX") && break; fi
done
[ -n "$work" ] || die "neither /tmp nor /var/tmp can be written"
chmod 0711 "$work"
mkdir "$work/bin"
ln -s "$CHOPMARK_DEMO_BIN" "$work/bin/chopmark"
export PATH="$work/bin:$PATH" XDG_CONFIG_HOME=$work/config XDG_STATE_HOME=$work/state
cd "$work"
cp -R "$model" model
chmod -R u+w model

# --- the story -------------------------------------------------------------------------------------------------------

title "1. A registry: its own private PostgreSQL, its own keys"
show chopmark serve --data-dir ./registry --listen 127.0.0.1:0
# Ctrl-C at the terminal is for this script, which then stops the service properly; with KEEP=1 it outlives both.
(trap '' INT HUP && CHOPMARK_LOG=warn,chopmark::commands::serve=info exec chopmark serve --data-dir ./registry --listen 127.0.0.1:0 --log-format text) \
    </dev/null >"$work/serve.out" 2>"$work/serve.log" &
server=$!
for _ in $(seq 600); do
    if grep -q '^listening on ' "$work/serve.out" || ! kill -0 "$server" 2>/dev/null; then break; fi
    sleep 0.1
done
url=$(sed -n 's/^listening on //p' "$work/serve.out")
[ -n "$url" ] || die "the service did not start"
cat "$work/serve.log"
cat "$work/serve.out"
export CHOPMARK_URL=$url

title "2. A key, and the organisation it speaks for"
run chopmark key new
run chopmark party register --jurisdiction HK --brn 12345678 \
    --name-en 'Lam AI Limited' --name-zh-hant '林氏人工智能有限公司' --name-zh-hans '林氏人工智能有限公司'

title "3. A real model: every file and every tensor"
run chopmark register ./model --licence apache-2.0 --name-en 'all-MiniLM-L6-v2'
[ -s model.chop ] || die "register wrote no model.chop"

title "4. Verified offline: no network, no database, only the files and the bundle"
run chopmark verify ./model --bundle model.chop --offline

title "5. One byte changed in a copy"
run cp -R model tampered
# The middle of a weight file is inside some tensor: the header is a few kilobytes at its start.
position=$(($(wc -c <tampered/model.safetensors) / 2))
byte=$(od -An -tu1 -j "$position" -N 1 tampered/model.safetensors | tr -d ' ')
show dd of=tampered/model.safetensors bs=1 seek="$position" count=1 conv=notrunc
# shellcheck disable=SC2059 # the format is the byte
printf "\\$(printf '%03o' $((byte ^ 1)))" |
    dd of=tampered/model.safetensors bs=1 seek="$position" count=1 conv=notrunc 2>/dev/null
expect 3 chopmark verify ./tampered --bundle model.chop --offline
status=0
report=$(chopmark verify ./tampered --bundle model.chop --offline --json 2>/dev/null) || status=$?
[ "$status" -eq 3 ] || die "verify --json ended with $status, not 3"
case $report in
*'"path":"model.safetensors"'*) ;;
*) die "the JSON report does not name the file: $report" ;;
esac
case $report in
*'"tensors":[{'*) ;;
*) die "the JSON report does not name a tensor: $report" ;;
esac

title "6. Software, too: a release archive"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
archive=chopmark-$version.tar.gz
show tar -czf "$archive" --exclude=./target --exclude=./.tools --exclude=./.git .
tar -C "$root" -czf "$archive" --exclude=./target --exclude=./.tools --exclude=./.git .
run chopmark register "$archive" --kind software --version "$version" --licence apache-2.0 \
    --name-en 'Chopmark source'
run chopmark verify "$archive" --bundle "$archive.chop" --offline

title "7. Nobody has to trust the database: recompute it"
run chopmark audit --data-dir ./registry

title "8. Look around"
database=$(chopmark db url --data-dir ./registry)
psql=${CHOPMARK_PG_BIN:+$CHOPMARK_PG_BIN/}psql
query='SELECT idx, kind, recorded_at, octet_length(body) AS bytes FROM log.entry ORDER BY idx'
if have "$psql"; then
    printf '\n%s$ psql "$(chopmark db url --data-dir ./registry)" -c "%s"%s\n' "$bold" "$query" "$plain"
    "$psql" --no-psqlrc --pset pager=off "$database" -c "$query"
fi
cat <<END

  API      curl $url/v1/registry
           curl $url/checkpoint
           curl $url/openapi.json
  SQL      $psql '$database'
  Audit    chopmark audit --data-dir $work/registry
END

if [ "${KEEP:-}" = 1 ]; then
    cat <<END

The service keeps running (process $server), and everything is in $work. To use it from this shell:

  export PATH="$work/bin:\$PATH" XDG_CONFIG_HOME=$work/config XDG_STATE_HOME=$work/state CHOPMARK_URL=$url
  cd $work

To stop it and remove everything:

  kill $server; while kill -0 $server 2>/dev/null; do sleep 0.1; done; rm -rf $work
END
    trap - EXIT
    exit 0
fi

title "9. The registry is gone, the proof is not"
kill -TERM "$server"
wait "$server" || die "the service did not stop cleanly (exit code $?)"
server=
run chopmark verify ./model --bundle model.chop --offline

printf '\n%sAll of that was real, and nothing is left running.%s Keep it with: make demo KEEP=1\n' "$bold" "$plain"
