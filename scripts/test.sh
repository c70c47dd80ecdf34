#!/usr/bin/env bash
# Installs what the tests need, then builds and tests everything.
#
# CHOPMARK_SOAK=1 makes the long-running tests run long, CHOPMARK_SOAK=5 five times as long; arguments go to `cargo test`.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cd "$root"
"$root/scripts/install-build-tools.sh"
"$root/scripts/install-postgresql.sh"
if [ -f "$tools/env" ]; then . "$tools/env"; fi
CHOPMARK_TEST_MODEL=$("$root/scripts/install-model.sh")
CHOPMARK_TEST_BROWSER=$("$root/scripts/install-browser.sh")
CHOPMARK_TEST_SCHEMATHESIS=$("$root/scripts/install-schemathesis.sh")
CHOPMARK_TEST_FSVERITY=$("$root/scripts/install-fsverity.sh")
CHOPMARK_TEST_VULKAN=$("$root/scripts/install-vulkan.sh")
CHOPMARK_TEST_B3SUM=$("$root/scripts/install-b3sum.sh")
CHOPMARK_TEST_SAFETENSORS=$("$root/scripts/install-safetensors.sh")
CHOPMARK_TEST_OPENPYXL=$("$root/scripts/install-openpyxl.sh")
CHOPMARK_TEST_DUCKDB=$("$root/scripts/install-duckdb.sh")
CHOPMARK_TEST_PDF=$("$root/scripts/install-pdf-tools.sh")
# File systems and networks of a test's own; only root may, and not in every container.
CHOPMARK_TEST_NAMESPACES=
if unshare --mount mount -t tmpfs none /tmp 2>/dev/null && unshare --net true 2>/dev/null; then
    CHOPMARK_TEST_NAMESPACES=required
fi
# A whole office, for the long tests alone.
if [ -n "${CHOPMARK_SOAK:-}" ]; then
    CHOPMARK_TEST_LIBREOFFICE=$("$root/scripts/install-libreoffice.sh")
    export CHOPMARK_TEST_LIBREOFFICE
fi
export CHOPMARK_TEST_MODEL CHOPMARK_TEST_BROWSER CHOPMARK_TEST_SCHEMATHESIS CHOPMARK_TEST_VULKAN CHOPMARK_TEST_B3SUM
export CHOPMARK_TEST_SAFETENSORS CHOPMARK_TEST_OPENPYXL CHOPMARK_TEST_DUCKDB CHOPMARK_TEST_PDF CHOPMARK_TEST_FSVERITY
export CHOPMARK_TEST_NAMESPACES

# Those of other platforms as well, whose licences are looked at.
cargo fetch --locked --quiet

# The integration tests run the real binary, so it is there first; and before it a control that acknowledges what is not
# committed, because a harness that can't find that out shows nothing. Both are built as parts of the whole workspace: by
# itself, a package would have dependencies with other features, and all of them would be built twice.
binaries=${CARGO_TARGET_DIR:-$root/target}/debug
cargo build --workspace --features chopmark/control-acknowledge-before-commit --locked
cp "$binaries/chopmark" "$binaries/chopmark-control"
cargo build --workspace --locked
cargo test --workspace --locked "$@"

# Apart, because the default build knows nothing of GPUs: the engines wgpu and cuda, on whatever there is.
# By itself: what GPUs need has other features of what everything uses, and would have all of the workspace built again.
cargo test --package chopmark-gpu-verify --features gpu,cuda --locked -- vectors wgpu cuda machine engine

# What is committed as compiled is what its sources give.
"$root/scripts/cuda-kernels.sh" check

# By itself, so that no other crate's features can hide that the core needs IO, and for a target that has none.
cargo check --package chopmark-core --locked
if [ -n "${CI:-}" ] && have rustup; then
    rustup target add wasm32-unknown-unknown >/dev/null 2>&1 || true
fi
if have rustup && rustup target list --installed 2>/dev/null | grep -qx wasm32-unknown-unknown; then
    cargo check --package chopmark-core --locked --target wasm32-unknown-unknown
else
    say "SKIPPED: chopmark-core for wasm32 (install the target with: rustup target add wasm32-unknown-unknown)"
fi
