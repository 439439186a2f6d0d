#!/usr/bin/env bash
# Take a network profile off an interface again. Where there is none, nothing happens.
#
#   netem/down.sh IFACE
set -euo pipefail
. "$(dirname "$0")/common.sh"

case $#${1-} in 1-* | [!1]*) die "one interface is needed" "$0 IFACE" ;; esac
need_root
ip link show dev "$1" >/dev/null 2>&1 || die "there is no interface $1" "netem/show.sh"
detach "$1"
