#!/usr/bin/env bash
# Makes sure that there is a Vulkan adapter, at least Mesa's software one, for the tests of the engine `wgpu`, and prints
# `required` when there is: the value of CHOPMARK_TEST_VULKAN that makes a missing adapter a failure. Elsewhere the tests
# pass those parts over.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# The loader, and the description of a driver.
is_installed() {
    local description
    for description in /etc/vulkan/icd.d/*.json /usr/share/vulkan/icd.d/*.json /usr/local/share/vulkan/icd.d/*.json; do
        if [ -e "$description" ] && ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1'; then return; fi
    done
    return 1
}

case $(uname -s) in
Linux)
    if ! is_installed && can_apt; then
        apt_install mesa-vulkan-drivers libvulkan1 || say "apt-get could not install mesa-vulkan-drivers"
    fi
    if is_installed; then
        echo required
    else
        say "missing: the engine wgpu on an adapter (install one with: apt-get install mesa-vulkan-drivers)"
    fi
    ;;
*)
    say "missing: Vulkan on $(uname -s); the engine wgpu is tested on an adapter of the system, if there is one"
    ;;
esac
