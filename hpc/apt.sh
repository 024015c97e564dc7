#!/bin/bash
# apt.sh - sourced: apt_install WHY PACKAGE... installs those Debian packages that are missing, as root or by
# sudo without a password; fails where neither is there. The script that sources it has a function `say`.
as_root=()
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root=(sudo); else as_root=(false); fi
fi
apt_install() {
    local why=$1 missing=() package
    shift
    for package in "$@"; do
        dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    say "installing for $why: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=900 update >&2 &&
        "${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=900 install -y --no-install-recommends "${missing[@]}" >&2
}
