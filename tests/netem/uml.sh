#!/usr/bin/env bash
# Run a command as root on a Linux kernel that has netem: User-Mode Linux, which is an ordinary
# process and needs no rights.
#
#   tests/netem/uml.sh FOLDER COMMAND [WORD…]
#
# The command sees the files of this computer, read-only, and may write to FOLDER and /run. Its
# output and exit code are passed on. One processor, several times slower than the real one.
#
# The kernel and busybox come from Debian's packages and are unpacked into $UML (.venv/uml).
set -euo pipefail
uml=${UML:-$(cd "$(dirname "$0")/../.." && pwd)/.venv/uml}
kernel=$uml/usr/bin/linux.uml busybox=$uml/bin/busybox

if [ ! -x "$kernel" ] || [ ! -x "$busybox" ]; then
    mkdir -p "$uml"
    echo "fetching the kernel into $uml (45 MB)" >&2
    (
        cd "$uml"
        apt-get -qq download user-mode-linux busybox-static 2>/dev/null ||
            { echo "this needs Debian's packages user-mode-linux and busybox-static" >&2 && exit 2; }
        for package in ./*.deb; do dpkg -x "$package" . && rm "$package"; done
    )
fi
[ $# -ge 2 ] || { sed -n 's/^#   //p' "$0" >&2 && exit 2; }
folder=$(cd "$1" && pwd)
shift

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
modules=$(echo "$uml"/usr/lib/uml/modules/*/kernel)

# What the kernel starts first, and with which it ends. A word of the command may hold anything.
cat >"$work/init" <<END
#!/bin/bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TMPDIR=/run
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mkdir /run/out /run/netns
ln -sfn /proc/self/fd /dev/fd # as every system has it
mount -t hostfs -o "$folder" out /run/out
for module in net/sched/sch_netem net/sched/sch_tbf drivers/net/veth; do
    $busybox insmod $modules/\$module.ko
done
ip link set lo up
cd "$PWD"
echo here we go
$(printf '%q ' "$@")
echo \$? >/run/out/exit
$busybox poweroff -f
END
chmod +x "$work/init"

rm -f "$folder/exit"
HOME=$work timeout -k 5 "${UML_SECONDS:-300}" "$kernel" mem=384M quiet \
    rootfstype=hostfs rootflags=/ ro init="$work/init" con=null con0=null,fd:1 \
    </dev/null 2>"$work/stderr" | sed -u 's/\r$//; 1,/^here we go$/d; /^reboot: /d' || true
[ -s "$folder/exit" ] || { tail -5 "$work/stderr" >&2 && echo "the kernel did not come to an end" >&2 && exit 125; }
exit "$(<"$folder/exit")"
