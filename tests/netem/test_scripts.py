"""netem/*.sh on networks of their own: what they do, what they refuse, and what they leave behind.

Where the kernel has no netem, a `tc` stands in that keeps netem's lines in a file and leaves all
the rest to the real one. `make netem-kernel` runs this file where netem is.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.net

ROOT = Path(__file__).parents[2]
UNKNOWN = "Error: Specified qdisc kind is unknown."
STAND_IN = """#!/bin/bash
where=here
if [ "$1" = -n ]; then where=$2; fi
while [[ $1 != dev && $# -gt 0 ]]; do
    case $1 in add | change | del | show) verb=$1 ;; esac
    words+=("$1"); shift
done
file=$STATE/$where-$2
case "$verb $*" in
add*netem* | change*netem*) echo "${*#*netem}" >"$file" ;;
del*) if [ -e "$file" ]; then rm "$file"; else exec $TC "${words[@]}" "$@"; fi ;;
show*)
    if [ -z "$2" ]; then
        for file in "$STATE"/here-*; do
            if [ -e "$file" ]; then echo "qdisc netem 8001: dev ${file#*here-} root"; fi
        done
    elif [ -e "$file" ]; then echo "qdisc netem 8001: root $(<"$file")"
    else exec $TC "${words[@]}" "$@"; fi ;;
*) exec $TC "${words[@]}" "$@" ;;
esac
"""
CABLE = "ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up; "
STEPS = """
title = "A test"
source = "chosen for the test"
[both]
delay = "5ms"
[[both.steps]]
at = "0.2s"
delay = "6ms"
"""


@pytest.fixture(scope="module")
def kernel_has_netem(need):
    need("tc", "ip", "unshare")
    if subprocess.run(["unshare", "-Urn", "true"], capture_output=True, check=False).returncode:
        outcome = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        outcome("no network namespaces for this user")
    tried = subprocess.run(
        ["unshare", "-Urn", "tc", "qdisc", "add", "dev", "lo", "root", "netem"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "unknown" not in tried.stderr


@pytest.fixture
def bash(kernel_has_netem, tmp_path):
    """Starts lines of bash in a network of its own, in which they are root."""
    environment = dict(os.environ, STATE=str(tmp_path), TC=str(shutil.which("tc")))
    if not kernel_has_netem:
        stand_in(tmp_path, STAND_IN, environment)

    started = []

    def start(lines: str, **changes: str) -> subprocess.Popen[str]:
        program = subprocess.Popen(
            ["unshare", "-Urn", "bash", "-c", CABLE + lines],
            cwd=ROOT,
            env=environment | changes,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(program)
        return program

    yield start
    for program in started:
        program.kill()
        program.communicate()


@pytest.fixture
def run(bash):
    """Runs such lines and gives their exit code and all that they print."""

    def run(lines: str, **changes: str) -> tuple[int, str]:
        program = bash(lines, **changes)
        printed, _ = program.communicate(timeout=50)
        return program.returncode, printed

    return run


def stand_in(folder: Path, script: str, environment: dict[str, str]) -> None:
    """Put a `tc` of ours before the real one."""
    bin_folder = folder / "bin"
    bin_folder.mkdir(exist_ok=True)
    (bin_folder / "tc").write_text(script)
    (bin_folder / "tc").chmod(0o755)
    environment["PATH"] = f"{bin_folder}:{os.environ['PATH']}"


@pytest.fixture
def stepping(tmp_path):
    """The path of a profile that changes after 0.2 s."""
    path = tmp_path / "stepping.toml"
    path.write_text(STEPS)
    return path


# --- up, show, down ------------------------------------------------------------------------------


def test_up_says_what_it_runs_show_shows_it_and_down_takes_it_away(run):
    code, printed = run("netem/up.sh v0 voip-10; netem/show.sh v0; netem/down.sh v0; netem/show.sh")
    lines = printed.splitlines()
    assert lines[0] == (
        "+ tc qdisc add dev v0 root netem delay 90ms 30ms distribution normal loss random 10% "
        "limit 1000"
    )
    assert lines[1].startswith("qdisc netem")
    assert lines[-2:] == ["+ tc qdisc del dev v0 root", "no netem"]
    assert code == 0


def test_up_again_is_that_profile_alone(run):
    """netem would keep the rate of the one before."""
    _, printed = run("netem/up.sh v0 4g; netem/up.sh v0 voip-5; netem/show.sh v0")
    shown = printed[printed.index("qdisc netem") :]
    assert "60ms" in shown
    assert "rate" not in shown


def test_down_again_does_nothing(run):
    assert run("netem/down.sh v0; netem/down.sh v0") == (0, "")


def test_down_the_other_way(run):
    _, printed = run("netem/up.sh v0 4g down")
    assert "rate 13mbit" in printed


def test_a_queue_that_somebody_made_stays(run):
    tbf = "tc qdisc add dev v0 root tbf rate 1mbit burst 10k latency 10ms; "
    code, printed = run(tbf + "netem/up.sh v0 lan; netem/down.sh v0; tc qdisc show dev v0; exit 7")
    assert code == 7
    assert printed.count("v0 has a queue already, tbf, which is not ours") == 2
    assert "qdisc tbf" in printed


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("netem/up.sh", "Put a network profile on one interface"),
        ("netem/up.sh v0", "Put a network profile on one interface"),
        ("netem/up.sh voip-10 v0", "there is no interface voip-10\n  try: one of: lo, v1, v0"),
        ("netem/up.sh v0 voip10", "there is no network profile called 'voip10'"),
        ("netem/up.sh v0 lan left", "left is not a direction\n  try: up or down"),
        ("netem/up.sh v0 lan --fast", "there is no option --fast"),
        ("netem/up.sh v0 train", "train changes in the course of time, and tc alone does not"),
        ("netem/down.sh", "one interface is needed"),
        ("netem/down.sh v7", "there is no interface v7"),
        ("netem/show.sh v0 v1", "one interface at most"),
        ("netem/lab.sh", "Two hosts, alice and bob"),
        ("netem/lab.sh voip10", "there is no network profile called 'voip10'"),
        ("netem/lab.sh --fast", "there is no option --fast"),
    ],
)
def test_a_clear_refusal(run, line, complaint):
    code, printed = run(line)
    assert code == 2
    assert complaint in " ".join(printed.replace("@v0", "").replace("@v1", "").split(" "))
    assert "+ tc" not in printed


def test_a_recorded_trace_is_beyond_tc(run, tmp_path):
    path = tmp_path / "traced.toml"
    path.write_text('title = "A test"\nsource = "chosen"\n[both]\ndelay_trace = "spikes"\n')
    code, printed = run(f"netem/up.sh v0 {path}")
    assert (code, "tc netem cannot express delay_trace" in printed) == (2, True)


def test_the_way_to_everywhere_is_refused_unless_really(run):
    route = "ip address add 10.1.0.1/24 dev v0; ip route add default via 10.1.0.2; "
    code, printed = run(route + "netem/up.sh v0 lan")
    assert code == 2
    assert "everything that this computer sends goes through v0" in printed
    assert run(route + "netem/up.sh v1 lan")[0] == 0
    assert run(route + "netem/up.sh --yes-really v0 lan")[0] == 0


@pytest.mark.parametrize("script", ["up.sh v0 lan", "down.sh v0", "lab.sh lan"])
def test_without_rights_it_says_how_to_get_them(kernel_has_netem, script):
    line = ["unshare", "-U", "bash", "-c", f"netem/{script}"]
    refused = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith(script.split(" ")[0] + ": only root may do this")
    assert "unshare -Urn" in refused.stderr


@pytest.mark.parametrize("line", ["netem/up.sh v0 voip-5", "netem/lab.sh voip-5 true"])
def test_a_kernel_without_netem_is_told_apart_and_something_else_offered(run, tmp_path, line):
    without = {}
    script = (
        f'#!/bin/bash\ncase $* in *add*netem*) echo "{UNKNOWN}" >&2; exit 2 ;; esac\nexec $TC "$@"'
    )
    stand_in(tmp_path, script, without)
    code, printed = run(line, **without)
    assert code == 2
    assert "this kernel has no netem" in printed
    assert "labkit net run --profile voip-5" in printed
    assert printed.count("ip netns add") == printed.count("ip netns del")


# --- profiles that change ------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_steps_are_played_and_everything_is_taken_back_in_the_end(bash, stepping, ending):
    program = bash(f"exec netem/up.sh --play v0 {stepping}")
    assert program.stdout is not None
    lines = [program.stdout.readline() for _ in range(3)]
    program.send_signal(ending)
    rest, _ = program.communicate(timeout=20)
    assert lines == [
        "+ tc qdisc add dev v0 root netem delay 5ms limit 1000\n",
        "+ tc qdisc change dev v0 root netem delay 6ms limit 1000\n",
        f"{stepping} stays as it is now; Ctrl-C takes it away\n",
    ]
    assert rest == "+ tc qdisc del dev v0 root\n"
    assert program.returncode == 128 + ending


def test_steps_that_repeat_go_round(bash, stepping):
    stepping.write_text(STEPS.replace("delay", 'repeat = "0.4s"\ndelay', 1))
    program = bash(f"exec netem/up.sh --play v0 {stepping}")
    assert program.stdout is not None
    delays = [program.stdout.readline().split()[9] for _ in range(5)]
    program.terminate()
    program.communicate(timeout=20)
    assert delays == ["5ms", "6ms", "5ms", "6ms", "5ms"]


# --- the lab -------------------------------------------------------------------------------------


def test_a_lab_has_two_hosts_with_the_profile_at_both_and_is_gone_afterwards(run):
    lab = "ip -n alice -o address; ip -n bob -o address; tc -n alice qdisc; tc -n bob qdisc; exit 5"
    lab = lab.replace("tc -n alice qdisc", "tc -n alice qdisc show dev lab0")
    lab = lab.replace("tc -n bob qdisc", "tc -n bob qdisc show dev lab0")
    code, printed = run(f"netem/lab.sh 4g bash -c '{lab}'; code=$?; ip netns list; exit $code")
    assert code == 5
    assert "10.9.0.1/24" in printed
    assert "10.9.0.2/24" in printed
    assert "tc -n alice qdisc add dev lab0 root netem delay 40ms 12ms" in printed
    assert "tc -n bob qdisc add dev lab0 root netem delay 30ms 7ms" in printed
    assert printed.count("qdisc netem") == 2
    assert printed.endswith("+ ip netns del alice\n+ ip netns del bob\n")


def test_in_a_lab_the_steps_are_played_at_both_ends(run, stepping):
    _, printed = run(f"netem/lab.sh {stepping} sleep 1")
    for host in ("alice", "bob"):
        assert f"+ tc -n {host} qdisc change dev lab0 root netem delay 6ms limit 1000" in printed


OWN_RUN = "unshare -m --propagation private bash -c 'mount -t tmpfs run /run; export LAB_RUN=ours; "


def test_what_is_left_of_a_killed_lab_is_cleared_away(run):
    left = OWN_RUN + "ip netns add alice; netem/lab.sh lan true; ip netns list'"
    code, printed = run(left)
    assert code == 0
    assert printed.startswith("+ ip netns del alice\n+ ip netns add alice\n")
    assert printed.endswith("+ ip netns del bob\n")


def test_a_lab_that_runs_is_left_alone(run):
    """Two labs of one user; the other's names are taken."""
    busy = "ip netns add alice; ip netns exec alice sleep 30 & "
    busy += 'until [ -n "$(ip netns pids alice 2>/dev/null)" ]; do :; done; '
    _, printed = run(OWN_RUN + busy + "netem/lab.sh lan true; kill $!; wait'")
    assert "somebody is at work on alice: a lab is running" in printed
    assert "netns del" not in printed


# --- the scripts as texts ------------------------------------------------------------------------


def test_shellcheck_has_nothing_to_say(need):
    need("shellcheck")
    scripts = [*sorted((ROOT / "netem").glob("*.sh")), ROOT / "tests/netem/uml.sh"]
    found = subprocess.run(
        ["shellcheck", "-x", "-P", "SCRIPTDIR", *scripts],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout + found.stderr == ""
