#!/usr/bin/env bash
# Compiles gpu-verify/kernels/ for NVIDIA GPUs, without one: with NVRTC, as it comes from PyPI. `build` writes what is
# committed in kernels/built; `check` compares it with its sources, and compiles them again where that is possible.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version=13.0.88
wheel_sha256=ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575
kernels=$root/gpu-verify/kernels
nvrtc=$tools/nvidia-cuda-nvrtc-$version
names=(blake3 sha256)

# Machine code for the GPUs it was measured on, and PTX, which drivers translate for all others since compute capability 8.0.
compile() {
    local directory=$1 library=$nvrtc/nvidia/cu13/lib/libnvrtc.so.13 name
    for name in "${names[@]}"; do
        python3 "$root/scripts/cuda-kernels.py" "$library" "$kernels/$name.cu" sm_90 "$directory/$name.sm_90.cubin"
        python3 "$root/scripts/cuda-kernels.py" "$library" "$kernels/$name.cu" compute_80 "$directory/$name.ptx"
    done
}

# What was compiled from what: the test `artefacts_belong_to_their_sources` reads this too.
record() {
    local directory=$1 file
    echo "compiler nvidia-cuda-nvrtc $version"
    for file in "$kernels"/*.cu "$kernels"/*.cuh; do
        echo "source $(sha256_of "$file") $(basename "$file")"
    done
    for file in "$directory"/*.cubin "$directory"/*.ptx; do
        echo "artefact $(sha256_of "$file") $(basename "$file")"
    done
}

fetch() {
    fetch_wheel "nvidia-cuda-nvrtc==$version" "$wheel_sha256" "$nvrtc" --platform manylinux2010_x86_64
}

case ${1:-} in
build)
    fetch
    mkdir -p "$kernels/built"
    compile "$kernels/built"
    record "$kernels/built" >"$kernels/built/record.txt"
    ;;
check)
    record "$kernels/built" | cmp - "$kernels/built/record.txt" ||
        die "gpu-verify/kernels/built is not what its sources give; run: scripts/cuda-kernels.sh build"
    if [ "$(uname -sm)" != "Linux x86_64" ] || ! (fetch); then
        say "SKIPPED: the CUDA kernels were not compiled again (NVRTC $version is not at hand)"
        exit 0
    fi
    again=$(mktemp -d)
    trap 'rm -rf "$again"' EXIT
    compile "$again"
    record "$again" | cmp - "$kernels/built/record.txt" ||
        die "compiling gpu-verify/kernels again gives other bytes than those committed; run: scripts/cuda-kernels.sh build"
    say "the CUDA kernels, compiled again, are byte for byte those committed"
    ;;
*)
    die "usage: scripts/cuda-kernels.sh build | check"
    ;;
esac
