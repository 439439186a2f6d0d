#!/usr/bin/env bash
# Show what netem does on an interface, or on all: its words, what it has sent and what it dropped.
#
#   netem/show.sh [IFACE]
set -euo pipefail
. "$(dirname "$0")/common.sh"

case $#${1-} in 1-* | [!01]*) die "one interface at most" "$0 [IFACE]" ;; esac
command -v tc >/dev/null || die "there is no program tc" "apt install iproute2"
shown=$(tc -s qdisc show ${1:+dev "$1"} | awk '/^qdisc/ { ours = $2 == "netem" } ours')
echo "${shown:-no netem${1:+ on $1}}"
