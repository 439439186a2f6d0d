# shellcheck shell=bash
# What the scripts beside this one share: saying what is run, netem's words of a profile, and
# refusing in words that help. It is read by them and does nothing alone.
#
# `in` may hold `-n NAMESPACE`: then `qdisc` works on a device in there. `profile` is the one that
# is spoken of.

profile=
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
in=()

PYTHON=${PYTHON:-$(command -v "$here/../.venv/bin/python" || command -v python3 || true)}
PATH=$PATH:/usr/sbin:/sbin # where an ordinary user's tc and ip are

# die WHAT [REMEDY…]: what is wrong, and what to try, a line each.
die() {
    echo "${0##*/}: $1" >&2
    shift
    for remedy; do echo "  try: $remedy" >&2; done
    exit 2
}

# Print a command, then run it.
run() {
    echo "+ $*" >&2
    "$@"
}

# The same for `tc qdisc`; where it fails, say what to use instead.
qdisc() {
    local said
    echo "+ tc ${in[*]}${in:+ }qdisc $*" >&2
    said=$(tc "${in[@]}" qdisc "$@" 2>&1) && return
    case $said in
    *"kind is unknown"* | "RTNETLINK answers: No such file"*)
        die "this kernel has no netem (the module sch_netem)" \
            "labkit net run --profile $profile      two hosts with this network between them, no root" \
            "labkit net relay --profile $profile …  for one port, on any system" \
            "the package kernel-modules-extra (Fedora) or linux-modules-extra-$(uname -r) (Ubuntu)"
        ;;
    *"not permitted"*) no_rights ;;
    *) die "tc: $said" ;;
    esac
}

no_rights() {
    die "only root may do this to a network" \
        "sudo $0 …" \
        "unshare -Urn, and in there again: a network of your own, in which you are root" \
        "labkit net run --profile …: two hosts with a network between them, no root"
}

need_root() {
    [ "$(id -u)" = 0 ] || no_rights
    for program in tc ip; do
        command -v $program >/dev/null || die "there is no program $program" "apt install iproute2"
    done
}

# read_profile PROFILE up|down: fills `lines`, one for each moment at which the link changes: the
# microseconds since its start and netem's words. `repeat` is when it starts again, 0 for never.
read_profile() {
    [ -n "$PYTHON" ] || die "there is no Python to read a profile with" "PYTHON=/path/to/python3.11 $0 …"
    local read
    read=$(PYTHONPATH=$here/.. "$PYTHON" - "$1" "$2" <<'PYTHON'
import sys

from labkit.resources import load_profile
from labkit.words.errors import BadInput
from labkit.words.tc import tc_steps

try:
    spec = getattr(load_profile(sys.argv[1]), sys.argv[2])
    lines = tc_steps(spec)
except BadInput as error:
    sys.exit(str(error))
print(spec.repeat // 1000)
for moment, words in lines:
    print(moment // 1000, *words)
PYTHON
    ) || exit 2
    mapfile -t lines <<<"$read"
    repeat=${lines[0]}
    lines=("${lines[@]:1}")
}

# attach DEVICE: the profile's first moment, instead of whatever netem was there.
attach() {
    detach "$1"
    # shellcheck disable=SC2086 # words, not one word
    qdisc add dev "$1" root netem ${lines[0]#* }
}

# detach DEVICE: no netem there any more. Another root qdisc than netem and the system's own is
# somebody's, and stays.
detach() {
    local kind
    kind=$(root_qdisc "$1")
    case $kind in
    netem) qdisc del dev "$1" root ;;
    "") ;;
    *) die "$1 has a queue already, $kind, which is not ours" "tc qdisc del dev $1 root, if it is yours" ;;
    esac
}

# The kind of a root qdisc that somebody has put there. The system's own have the handle 0.
root_qdisc() {
    tc "${in[@]}" qdisc show dev "$1" root | awk '$1 == "qdisc" && $3 != "0:" { print $2; exit }'
}

microseconds() {
    echo "${EPOCHREALTIME//[!0-9]/}"
}

# play START DEVICE: change what is attached, each line at its moment, until no line is left.
# START is when the first moment was, in microseconds.
play() {
    local start=$1 device=$2 line moment wait round=0
    while true; do
        for line in "${lines[@]}"; do
            moment=$((start + round + ${line%% *}))
            wait=$((moment - $(microseconds)))
            if [ "$wait" -gt 0 ]; then pause "$((wait / 1000000)).$(printf %06d $((wait % 1000000)))"; fi
            # shellcheck disable=SC2086
            if [ "$moment" != "$start" ]; then qdisc change dev "$device" root netem ${line#* }; fi
        done
        [ "$repeat" != 0 ] || return 0
        round=$((round + repeat))
    done
}

# pause [SECONDS]: read what is never written. Other than a sleep, it is no process that must be
# ended when this one is.
exec {never}<> <(:)
pause() {
    read -r ${1:+-t "$1"} -u "$never" || true
}

# on_exit COMMAND: however this script ends.
on_exit() {
    # shellcheck disable=SC2064 # the command of now
    trap "$1" EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}
