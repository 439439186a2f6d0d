"""`labkit net run`, `up`, `shell`, `down`, as somebody types them; and all of it without root."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ordinary import NOBODY

from labkit.cli.netlab import fill_in
from labkit.live.link import LabNetwork
from labkit.live.link.support import explain
from labkit.live.wav import read_wav
from labkit.words.errors import MissingCapability

pytestmark = [pytest.mark.live, pytest.mark.net]

ROOT = Path(__file__).parents[2]
LABKIT = [sys.executable, "-c", "import sys; from labkit.cli.labkit import main; sys.exit(main())"]


@pytest.fixture(scope="module", autouse=True)
def _labs_work():
    """Skip at home where there can be no lab, fail in CI."""
    try:
        LabNetwork().up().down()
    except MissingCapability as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture
def labkit(tmp_path):
    """Runs the command with a runtime folder of its own."""
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def run(*words, stdin=None):
        return subprocess.run(
            [*LABKIT, *words],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=50,
        )

    return run


def test_run_gives_the_code_and_the_output_of_the_command(labkit):
    done = labkit("net", "run", "--", "sh", "-c", "echo $0 {bob} $BOB; exit 5", "{alice}")
    assert (done.returncode, done.stdout) == (5, "10.9.0.1 10.9.0.2 10.9.0.2\n")


def test_run_waits_for_what_bob_serves_and_says_what_the_link_did(labkit, tmp_path):
    (tmp_path / "page").write_text("from bob")
    done = labkit(
        "net", "run", "--profile", "lan", "--router", "--capture", str(tmp_path / "x.pcapng"),
        "--bob", f"{sys.executable} -m http.server --bind {{bob}} --directory {tmp_path} 8000",
        "--", sys.executable, "-c",
        "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())",
        "http://{bob}:8000/page",
    )  # fmt: skip
    assert done.stdout == "from bob\n", done.stderr
    assert "router → bob: " in done.stderr
    assert (tmp_path / "x.pcapng").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bob", "false", "--", "true"], "'false' ended at once with 1"),
        (["--on", "carol", "true", "--", "true"], "there is no host 'carol'"),
        (["--profile", "voip10", "--", "true"], "no network profile called 'voip10'"),
        (["--dscp", "--", "true"], "dscp needs a rate"),
    ],
)
def test_run_refuses_in_a_line(labkit, words, said):
    done = labkit("net", "run", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_that_is_not_there_is_127_as_in_a_shell(labkit):
    assert labkit("net", "run", "--", "labkit-nothing").returncode == 127


def test_ctrl_c_ends_the_command_and_the_lab(tmp_path):
    ready = tmp_path / "ready"
    script = f"trap 'echo interrupted; exit 7' INT; touch {ready}; while :; do sleep 0.05; done"
    terminal = subprocess.Popen(
        [*LABKIT, "net", "run", "--bob", "sleep 1000", "--", "bash", "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 20
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(terminal.pid, signal.SIGINT)  # what a terminal does
    said, _ = terminal.communicate(timeout=20)
    assert (said, terminal.returncode) == ("interrupted\n", 7)


def test_up_shell_down(labkit):
    assert labkit("net", "down").stderr.startswith("labkit: no lab network is up")
    try:
        up = labkit("net", "up", "--profile", "wifi", "--hosts", "alice,bob,carol")
        assert up.stdout.split()[:4] == ["alice", "10.9.1.1", "bob", "10.9.2.1"]
        assert "is up already" in labkit("net", "up").stderr
        carol = labkit("net", "shell", "carol", "--", "sh", "-c", "echo {alice} $BOB; exit 3")
        assert (carol.returncode, carol.stdout) == (3, "10.9.1.1 10.9.2.1\n")
        devices = labkit("net", "shell", stdin="cat /proc/net/dev\n").stdout
        assert "lab0:" in devices
        assert "no host 'mallory'" in labkit("net", "shell", "mallory").stderr
    finally:
        down = labkit("net", "down")
    assert down.returncode == 0
    assert labkit("net", "shell").returncode == 2


def test_tc_and_profiles_print_what_there_is(labkit):
    assert "voip-10          A bad line: 10 % loss" in labkit("net", "profiles").stdout
    lines = labkit("net", "tc", "4g", "--dev", "eth1").stdout.splitlines()
    commands = [line for line in lines if not line.startswith("#")]
    assert [line[:46] for line in commands] == [
        "tc qdisc replace dev eth1 root netem delay 40m",
        "tc qdisc replace dev eth1 root netem delay 30m",
    ]
    cut = labkit("net", "tc", "cut").stdout
    assert "tc qdisc change dev DEV root netem" in cut
    assert "# after " in cut


def test_relay_needs_nothing_of_this():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        here, there = (f"127.0.0.1:{sock.getsockname()[1]}" for sock in (free, server))
        free.close()
        relay = subprocess.Popen(
            [*LABKIT, "net", "relay", "--listen", here, "--to", there, "--profile", "lan"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert relay.stdout.readline() == "lan: Two computers on one switch\n"
        assert here in relay.stdout.readline()
        host, port = here.split(":")
        with socket.create_connection((host, int(port))) as client, server.accept()[0] as served:
            client.send(b"through")
            assert served.recv(100) == b"through"
        relay.send_signal(signal.SIGINT)
        assert relay.wait(10) == 0
        relay.stdout.close()


def test_only_known_hosts_are_filled_in():
    assert fill_in(["{alice}:5000", '{"json": 1}', "{bob}"], {"alice": "10.9.0.1"}) == [
        "10.9.0.1:5000",
        '{"json": 1}',
        "{bob}",
    ]


@pytest.mark.parametrize(
    ("error", "file", "said"),
    [
        (2, "/dev/net/tun", "modprobe tun"),
        (13, "/dev/net/tun", "chmod 666 /dev/net/tun"),
        (5, "/dev/net/tun", "does not work"),
        (1, "", "no namespaces for ordinary users"),
        (28, "", "no namespaces for ordinary users"),
        (30, "/proc/sys/net/ipv4/ip_forward", "docker run --privileged"),
        (12, "", "labkit doctor"),
    ],
)
def test_each_refusal_has_a_remedy_and_the_relay(error, file, said):
    answer = str(explain(error, "text", file))
    assert said in answer
    assert "labkit net relay" in answer


# --- without root -----------------------------------------------------------------------------

UNPRIVILEGED = """
import os, sys
from labkit.live.link import LabNetwork
assert os.geteuid() != 0, "this test is about an ordinary user"
with LabNetwork("voip-10", seed=7, router=True, nat=True, capture=sys.argv[1]) as net:
    me = net.alice.run(["id", "-u"], check=True).stdout.strip()
    seen = net.bob.start([sys.executable, "-c", '''
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", 53))
print(sock.recvfrom(100)[1][0])
'''])
    net.bob.wait_for_port(53)
    to = net.bob.address
    net.alice.run(["bash", "-c", f"for i in {{1..6}}; do echo > /dev/udp/{to}/53; done"])
    assert seen.wait(10) == 0, seen.stderr.text
    print(me, seen.stdout.text.strip())
"""


def test_no_root_is_needed(ordinary):
    run, _ = ordinary
    done = run("-c", UNPRIVILEGED, "x.pcapng")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{NOBODY} 10.9.1.1\n"


@pytest.mark.peer
def test_without_root_a_voice_is_heard_over_a_kernel_that_retransmits(need, ordinary):
    need("tshark")
    run, out = ordinary
    done = run(
        *LABKIT[1:], "net", "run", "--profile", "voip-10", "--capture", "call.pcapng",
        "--bob", "streamer serve --proto tcp --host {bob} --port 5000 --source speech", "--",
        "receiver", "connect", "--proto", "tcp", "--addr", "{bob}:5000",
        "--out", "heard.wav", "--no-sound", "--seconds", "4",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    samples, _ = read_wav(out / "heard.wav")
    assert len(samples) > 48_000
    assert np.sqrt(np.mean(samples.astype(float) ** 2)) > 300, "silence"
    read = ["tshark", "-r", out / "call.pcapng", "-Y", "tcp.analysis.retransmission"]
    again = subprocess.run(read, capture_output=True, text=True, check=True)
    assert "Retransmission" in again.stdout


def test_a_shell_without_root_has_root_s_rights_in_its_network_only(ordinary):
    run, _ = ordinary
    rights = "id -u; ip addr add 10.8.0.1 dev lo; ip -br addr show lo; touch /etc/labkit-was-here"
    done = run(*LABKIT[1:], "net", "run", "--", "sh", "-c", rights)
    assert done.stdout.startswith(f"{NOBODY}\n"), done.stderr
    assert "10.8.0.1" in done.stdout
    assert done.returncode == 1
    assert "Permission denied" in done.stderr


def test_where_the_device_is_closed_it_says_how_to_open_it(ordinary):
    run, out = ordinary
    (out.parent / "tun").chmod(0o600)
    done = run(*LABKIT[1:], "net", "run", "--", "true")
    assert done.returncode == 2
    assert "sudo chmod 666 /dev/net/tun" in done.stderr
    assert "labkit net relay" in done.stderr
