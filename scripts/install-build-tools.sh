#!/usr/bin/env bash
# Makes sure that there is a Rust toolchain and a C compiler (ring and blake3 have parts in C and assembly).
set -euo pipefail
. "$(dirname "$0")/lib.sh"

have cargo || die "cargo is missing; install Rust with rustup (rustup.rs), then run this again.
rust-toolchain.toml names the version, which rustup fetches by itself"

if ! have cc; then
    if can_apt; then
        apt_install gcc libc6-dev
    else
        die "a C compiler is missing; install one with:
  apt-get install build-essential      (Debian, Ubuntu)
  xcode-select --install               (macOS)"
    fi
fi
