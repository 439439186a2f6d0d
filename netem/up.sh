#!/usr/bin/env bash
# Put a network profile on one interface: what leaves it is delayed, lost and so on, by tc netem.
#
#   netem/up.sh IFACE PROFILE [up|down]     as netem/down.sh and netem/show.sh take it away, show it
#   netem/up.sh --play IFACE PROFILE …      for a profile that changes: stays, plays it, and takes
#                                           it away at Ctrl-C
#
# `up` (if nothing is said) is the profile's way from the first host to the second. Again with
# another profile: that one instead. Without the interface of the default route, on which
# everything goes that this computer does: --yes-really.
set -euo pipefail
. "$(dirname "$0")/common.sh"

usage() {
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"
    exit "$1"
}

playing=no really=no words=()
for word; do
    case $word in
    --play) playing=yes ;;
    --yes-really) really=yes ;;
    -h | --help) usage 0 ;;
    -*) die "there is no option $word" "$0 --help" ;;
    *) words+=("$word") ;;
    esac
done
if [ ${#words[@]} -lt 2 ] || [ ${#words[@]} -gt 3 ]; then usage 2 >&2; fi
device=${words[0]} profile=${words[1]} direction=${words[2]:-up}
case $direction in up | down) ;; *) die "$direction is not a direction" "up or down" ;; esac

need_root
ip link show dev "$device" >/dev/null 2>&1 ||
    die "there is no interface $device" "one of: $(ip -o link show | awk -F': ' '{ printf "%s%s", s, $2; s = ", " }')"
routes=$(ip -4 route show default; ip -6 route show default)
if [ $really = no ] && grep -Eq " dev $device( |\$)" <<<"$routes"; then
    die "everything that this computer sends goes through $device, perhaps your session too" \
        "$0 --yes-really … if you mean it" \
        "netem/lab.sh $profile: two hosts of their own"
fi
read_profile "$profile" "$direction"
if [ ${#lines[@]} -gt 1 ] && [ $playing = no ]; then
    die "$profile changes in the course of time, and tc alone does not" \
        "$0 --play … stays and plays it" "netem/lab.sh $profile"
fi

if [ $playing = no ]; then
    attach "$device"
    exit
fi

on_exit "detach $device"
start=$(microseconds)
attach "$device"
play "$start" "$device"
echo "$profile stays as it is now; Ctrl-C takes it away" >&2
pause
