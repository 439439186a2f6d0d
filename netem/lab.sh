#!/usr/bin/env bash
# Two hosts, alice and bob, with a network profile between them: namespaces of the real kernel
# joined by a cable, and tc netem at both its ends.
#
#   netem/lab.sh PROFILE                    a shell on alice
#   netem/lab.sh PROFILE COMMAND [WORD…]    a command on alice; its exit code is the lab's
#
#       alice 10.9.0.1  lab0 ══════ lab0  10.9.0.2 bob          ip netns exec bob COMMAND
#                         up ──>  <── down
#
# At the end, at Ctrl-C too, both hosts are gone. As root, or without: unshare -Urn netem/lab.sh …
# Without netem in the kernel: labkit net run.
set -euo pipefail
. "$(dirname "$0")/common.sh"

case ${1-} in
"" | -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" && exit $(($# ? 0 : 2)) ;;
-*) die "there is no option $1" "$0 --help" ;;
esac
profile=$1
need_root

# Root of `unshare` only: names of namespaces are files in /run/netns, so have one of our own, or
# where there is none a whole /run.
if ! grep -q '^ *0 *0 *4294967295$' /proc/self/uid_map && [ -z "${LAB_RUN:-}" ]; then
    own=/run
    if [ -d /run/netns ]; then own=/run/netns; fi
    # shellcheck disable=SC2016
    LAB_RUN=ours exec unshare --mount --propagation private \
        sh -c 'mount -t tmpfs run "$0" && exec "$@"' "$own" "$0" "$@"
fi
shift

for host in alice bob; do # what is left of a lab that was killed
    if [ -e "/run/netns/$host" ]; then
        [ -z "$(ip netns pids $host)" ] || die "somebody is at work on $host: a lab is running"
        run ip netns del $host
    fi
done

undo() {
    trap '' INT TERM HUP
    # shellcheck disable=SC2046 # words, one for each job
    kill $(jobs -p) 2>/dev/null || true
    for host in alice bob; do
        if [ -e "/run/netns/$host" ]; then run ip netns del $host; fi
    done
}

on_exit undo
run ip netns add alice
run ip netns add bob
run ip link add lab0 netns alice type veth peer name lab0 netns bob
run ip -n alice address add 10.9.0.1/24 dev lab0
run ip -n bob address add 10.9.0.2/24 dev lab0
for host in alice bob; do
    run ip -n $host link set lo up
    run ip -n $host link set lab0 up
done
start=$(microseconds)
for end in "alice up" "bob down"; do
    read_profile "$profile" "${end#* }"
    in=(-n "${end% *}")
    attach lab0
    play "$start" lab0 &
done

if [ $# = 0 ]; then
    echo "You are on alice, 10.9.0.1. bob is 10.9.0.2: ip netns exec bob COMMAND. exit ends the lab." >&2
    set -- "${SHELL:-bash}"
fi
ip netns exec alice "$@" # no exec: somebody must clear up
