"""The lab network, with the kernel's own TCP and UDP in it.

Each expectation is the profile's word, the RFC's, or tshark's reading of the capture.
"""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from labkit.core.impairment import Impairment
from labkit.live.link import LabNetwork
from labkit.live.wav import read_wav
from labkit.resources import load_profile
from labkit.words.errors import BadInput, LocalProtocolError, MissingCapability
from labkit.words.linkspec import LinkSpec
from labkit.words.profile import Profile
from labkit.words.units import ms

pytestmark = [pytest.mark.live, pytest.mark.net]

PING = """
import socket, struct, sys, time
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return (total + (total >> 16)) ^ 0xFFFF
sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
sock.settimeout(5)
for number in range(int(sys.argv[2])):
    echo = struct.pack("!BBHHH", 8, 0, 0, 77, number)
    sent = time.monotonic()
    sock.sendto(echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:], (sys.argv[1], 0))
    while True:
        got = sock.recv(2000)
        if got[20] == 0 and got[24:28] == echo[4:8]:
            break
    print((time.monotonic() - sent) * 1000)
"""
SEND = """
import socket, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    due = time.monotonic()
    for number in range(int(sys.argv[2])):
        time.sleep(max(0, due - time.monotonic()))
        sock.sendto(number.to_bytes(4).ljust(int(sys.argv[3])), (sys.argv[1], 5000))
        due += 1 / float(sys.argv[4])
"""
RECEIVE = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
    sock.bind(("", 5000))
    try:
        while True:
            data, sender = sock.recvfrom(3000)
            sock.settimeout(float(sys.argv[1]))
            print(int.from_bytes(data[:4]), len(data), sender[0], flush=True)
    except TimeoutError:
        pass
"""
SERVE = """
import hashlib, socket, sys
with socket.create_server((sys.argv[1], 5000)) as server, server.accept()[0] as sock:
    digest = hashlib.sha256()
    while data := sock.recv(65536):
        digest.update(data)
        print("got", len(data), flush=True)
print(digest.hexdigest())
"""
CONNECT = """
import socket, sys
with socket.create_connection((sys.argv[1], 5000)) as sock:
    while data := sys.stdin.buffer.read1():
        sock.sendall(data)
"""


@pytest.fixture(scope="module", autouse=True)
def _labs_work():
    """Skip at home where there can be no lab, fail in CI."""
    try:
        LabNetwork().up().down()
    except MissingCapability as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


def link(**words):
    spec = LinkSpec(**words)
    return Profile("test", "", "", spec, spec)


def python(script, *args):
    return [sys.executable, "-c", script, *map(str, args)]


def tshark(file, display_filter, *fields):
    """The packets that tshark finds; a list of the fields of each."""
    wanted = [word for field in fields for word in ("-e", field)]
    command = ["tshark", "-r", file, "-Y", display_filter, "-T", "fields", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def receive(host, silence=0.5):
    program = host.start(python(RECEIVE, silence))
    host.wait_for_port(5000, proto="udp")
    return program


def received(program):
    """(number, size, sender) of each datagram."""
    assert program.wait(20) == 0, program.stderr.text
    lines = [line.split() for line in program.stdout.lines]
    return [(int(number), int(size), sender) for number, size, sender in lines]


# --- the link -----------------------------------------------------------------------------------


def test_a_ping_takes_twice_the_delay():
    with LabNetwork(link(delay=ms(20))) as net:
        done = net.alice.run(python(PING, net.bob.address, 20), check=True)
    trips = sorted(map(float, done.stdout.split()))
    assert trips[0] >= 40
    assert trips[10] < 41


def test_the_same_seed_loses_the_same_packets_as_in_the_simulation():
    profile = load_profile("voip-10")
    judge = Impairment(profile.up, "7 up")
    expected = [n for n in range(1000) if judge.push(bytes(188), ms(n // 2))]
    with LabNetwork(profile, seed=7) as net:
        listener = receive(net.bob)
        net.alice.run(python(SEND, net.bob.address, 1000, 160, 2000), check=True)
        arrived = [number for number, _, _ in received(listener)]
        lost = net.counts()["alice → bob"].lost
    assert sorted(arrived) == expected
    assert arrived != sorted(arrived), "30 ms of jitter at 2000 packets/s reorders"
    assert lost == 1000 - len(expected)
    assert 70 < lost < 130  # 10 % of 1000, three standard deviations


@pytest.mark.peer
def test_the_kernel_retransmits_and_everything_arrives(need, tmp_path):
    need("tshark")
    capture = tmp_path / "call.pcapng"
    text = "".join(f"line {n}\n" for n in range(15_000))
    with LabNetwork("voip-10", seed=7, capture=capture, capture_at="alice") as net:
        server = net.bob.start(python(SERVE, net.bob.address))
        net.bob.wait_for_port(5000, proto="tcp")
        net.alice.run(python(CONNECT, net.bob.address), input=text, check=True)
        assert server.wait(30) == 0
        lost = net.counts()["alice → bob"].lost
    assert server.stdout.lines[-1] == hashlib.sha256(text.encode()).hexdigest()
    again = tshark(capture, "tcp.analysis.retransmission && ip.src == 10.9.0.1", "frame.number")
    gone = tshark(capture, "frame.comment == lost", "ip.src")
    assert again
    assert lost > 0
    assert gone == [["10.9.0.1"]] * lost


def test_a_voice_is_heard_over_it(tmp_path):
    """Over RTP here; over TCP, by the command and without root, in test_link_commands."""
    wav = tmp_path / "heard.wav"
    with LabNetwork("voip-10", seed=7) as net:
        where = ["--host", net.bob.address, "--port", "5000"]
        streamer = net.bob.start(
            ["streamer", "serve", "--proto", "rtp", *where, "--source", "speech"]
        )
        net.bob.wait_for_port(5000, proto="udp")
        listen = ["--addr", f"{net.bob.address}:5000", "--out", wav, "--no-sound", "--seconds", "4"]
        done = net.alice.run(["receiver", "connect", "--proto", "rtp", *listen], timeout=30)
        assert streamer.poll() in (None, 0), streamer.stderr.text
    assert done.returncode == 0, done.stderr
    samples, _ = read_wav(wav)
    assert len(samples) > 48_000
    assert np.sqrt(np.mean(samples.astype(float) ** 2)) > 300, "silence"


@pytest.mark.peer
def test_a_small_mtu_fragments_datagrams(need, tmp_path):
    need("tshark")
    capture = tmp_path / "fragments.pcapng"
    with LabNetwork(mtu=600, capture=capture) as net:
        listener = receive(net.bob)
        net.alice.run(python(SEND, net.bob.address, 1, 1400, 1), check=True)
        assert received(listener) == [(0, 1400, "10.9.0.1")]
    # 1408 bytes with the UDP header; 576 is the largest multiple of 8 that fits 580.
    assert tshark(capture, "ip", "ip.len") == [["596"], ["596"], ["276"]]
    assert len(tshark(capture, "ip.frag_offset > 0", "ip.id")) == 2


SEND_WHEN_TOLD = """
import signal, socket, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
with socket.create_connection((sys.argv[1], 5000)) as sock:
    sock.send(b"one")
    signal.sigwait([signal.SIGUSR1])
    sock.send(b"three")
"""


def test_a_cut_link_is_silent_and_tcp_gets_over_it():
    with LabNetwork(link(delay=ms(2))) as net:
        server = net.bob.start(python(SERVE, net.bob.address))
        net.bob.wait_for_port(5000)
        sender = net.alice.start(python(SEND_WHEN_TOLD, net.bob.address))
        server.stdout.wait_for("got 3")
        net.cut()
        sender.send_signal(signal.SIGUSR1)
        assert sender.wait(5) == 0
        while net.counts()["alice → bob"].cut < 2:
            assert server.stdout.text == "got 3\n"
        net.restore()
        server.stdout.wait_for("got 5")
        assert server.wait(10) == 0


def test_of_a_corrupted_packet_the_kernel_wants_nothing():
    """One bit in each packet: IP's or UDP's checksum notices."""
    with LabNetwork(link(corrupt=1.0)) as net:
        listener = net.bob.start(python(RECEIVE, 1))
        net.bob.wait_for_port(5000)
        net.alice.run(python(SEND, net.bob.address, 50, 100, 1000), check=True)
        assert net.counts()["alice → bob"].corrupted == 50
        assert listener.stdout.text == ""


# --- who is there -------------------------------------------------------------------------------


@pytest.mark.peer
def test_a_router_is_a_kernel_that_counts_hops(need, tmp_path):
    need("tshark")
    capture = tmp_path / "routed.pcapng"
    with LabNetwork(router=True, capture=capture, capture_at="bob") as net:
        net.alice.run(python(PING, net.bob.address, 1), check=True)
        assert net.router.address == "10.9.1.254"
    assert tshark(capture, "icmp", "ip.src", "ip.ttl") == [["10.9.1.1", "63"], ["10.9.2.1", "64"]]


def test_behind_a_nat_alice_is_seen_by_another_address_and_cannot_be_called():
    with LabNetwork(nat=True) as net:
        assert (net.alice.address, net.alice.public_address) == ("192.168.1.2", "10.9.0.1")
        listener = receive(net.bob)
        net.alice.run(python(SEND, net.bob.address, 1, 100, 1), check=True)
        assert received(listener) == [(0, 100, "10.9.0.1")]
        net.bob.run(python(SEND, net.alice.public_address, 3, 100, 1000), check=True)
        assert net.counts()["bob → alice"].refused == 3


PUNCH = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", 7000))
sock.settimeout(0.1)
for _ in range(50):
    sock.sendto(b"hole", (sys.argv[1], 7000))
    try:
        print(*sock.recvfrom(100))
        break
    except TimeoutError:
        pass
sock.sendto(b"hole", (sys.argv[1], 7000))
"""


def test_two_hosts_behind_nats_punch_holes():
    with LabNetwork(hosts=("alice", "bob", "carol"), nat=("alice", "bob")) as net:
        bob = net.bob.start(python(PUNCH, net.alice.public_address))
        alice = net.alice.run(python(PUNCH, net.bob.public_address), timeout=10)
        assert bob.wait(10) == 0
        assert alice.stdout == "b'hole' ('10.9.2.1', 7000)\n"
        assert bob.stdout.text == "b'hole' ('10.9.1.1', 7000)\n"


FLOOD = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(60):
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 46 << 2 if number == 50 else 0)
    sock.sendto(number.to_bytes(4).ljust(1000), (sys.argv[1], 5000))
"""


@pytest.mark.parametrize("dscp", [True, False])
def test_a_bottleneck_lets_voice_overtake_only_if_it_honours_dscp(dscp):
    with LabNetwork(bottleneck="2mbit", dscp=dscp) as net:
        listener = receive(net.bob)
        net.alice.run(python(FLOOD, net.bob.address), check=True)
        order = [number for number, _, _ in received(listener)]
    assert sorted(order) == list(range(60))
    if dscp:
        assert order.index(50) < 40
        assert [number for number in order if number != 50] == sorted(set(order) - {50})
    else:
        assert order == sorted(order)


# --- programs at a host ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def net():
    with LabNetwork() as net:
        yield net


def test_run_is_subprocess_run_at_a_host(net, tmp_path):
    script = "read x; echo $x $GREETING $PWD; echo bad >&2; exit 3"
    done = net.alice.run(
        ["bash", "-c", script], input="hello\n", env={"GREETING": "world"}, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (3, "bad\n")
    assert done.stdout == f"hello world {tmp_path}\n"
    with pytest.raises(subprocess.CalledProcessError):
        net.alice.run(["false"], check=True)


def test_a_program_that_takes_too_long_is_killed(net):
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        net.alice.run(["bash", "-c", "echo begun; exec sleep 1000"], timeout=0.3)
    assert caught.value.stdout == "begun\n"


def test_what_is_printed_without_end_does_not_block(net):
    """More than a pipe holds, on both streams."""
    done = net.bob.run(["bash", "-c", "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2"])
    assert len(done.stdout) == len(done.stderr) == 300_000


def test_a_signal_reaches_a_program_and_its_children(net):
    program = net.bob.start(["bash", "-c", "sleep 1000 & echo $!; wait"])
    child = program.stdout.wait_for("\n")
    assert program.poll() is None
    program.terminate()
    assert program.wait(5) == -signal.SIGTERM
    alive = net.bob.run(["bash", "-c", f"kill -0 {child}"])
    assert alive.returncode == 1


def test_one_thread_may_end_what_another_one_waits_for(net):
    program = net.alice.start(["sleep", "1000"])
    waiting = threading.Thread(target=program.wait)
    waiting.start()
    program.terminate()
    waiting.join(5)
    assert program.returncode == -signal.SIGTERM


def test_a_child_that_lives_on_does_not_keep_a_program_from_having_ended(net):
    program = net.alice.start(["bash", "-c", "echo done; sleep 1000 &"])
    program.stdout.wait_for("done")
    while program.poll() is None:
        pass
    assert program.returncode == 0


def test_an_unknown_program_and_a_silly_command_are_refused(net):
    with pytest.raises(BadInput, match="no such program: labkit-nothing"):
        net.alice.run(["labkit-nothing"])
    with pytest.raises(BadInput, match="not a list of words"):
        net.alice.run("ping")
    with pytest.raises(BadInput, match="too long"):
        net.alice.run(["echo", "x" * 1_000_000])
    assert net.alice.run(["true"]).returncode == 0, "and the lab goes on"


def test_waiting_for_what_does_not_come_ends(net):
    with pytest.raises(TimeoutError, match="nobody listened on port 1 at alice"):
        net.alice.wait_for_port(1, timeout=0.1)
    program = net.alice.start(["echo", "something else"])
    with pytest.raises(TimeoutError, match="something else"):
        program.stdout.wait_for("listening")
    silent = net.alice.start(["true"], capture=False)
    with pytest.raises(BadInput, match="not kept"):
        _ = silent.stdout
    assert silent.wait(5) == 0


def test_many_threads_use_one_lab(net):
    """A notebook's cells run in threads of their own."""
    said = {}

    def ask(n):
        said[n] = net.alice.run(["echo", str(n)]).stdout

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == {n: f"{n}\n" for n in range(8)}


# --- up and down ----------------------------------------------------------------------------------


def test_up_and_down_without_with():
    net = LabNetwork("lan")
    for use in (net.cut, net.counts, lambda: net.alice):
        with pytest.raises(LocalProtocolError, match="not up"):
            use()
    for _ in range(2):
        net.up()
        with pytest.raises(LocalProtocolError, match="up already"):
            net.up()
        assert net.alice.run(["true"]).returncode == 0
        net.down()
        net.down()
    assert not hasattr(net, "mallory")


def test_at_the_end_programs_are_asked_before_they_are_killed(tmp_path):
    polite, stubborn = tmp_path / "polite", "trap '' TERM; echo ready; sleep 1000 & wait; wait"
    with LabNetwork() as net:
        trap = f"trap 'echo bye > {polite}; exit' TERM; echo ready; sleep 1000 & wait"
        one, other = (net.bob.start(["bash", "-c", script]) for script in (trap, stubborn))
        for program in (one, other):
            program.stdout.wait_for("ready")
    assert polite.read_text() == "bye\n"
    assert one.wait(1) == 0
    assert other.wait(1) == -signal.SIGKILL


def test_a_lab_that_nobody_holds_any_more_ends():
    net = LabNetwork().up()
    program = net.alice.start(["sleep", "1000"])
    del net
    assert program.wait(10) == -signal.SIGTERM


def test_a_capture_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(BadInput, match="cannot write the capture"):
        LabNetwork(capture=tmp_path / "nowhere" / "x.pcapng").up()


def test_a_missing_trace_is_named():
    with pytest.raises(BadInput, match="no delay trace called 'nothing'"):
        LabNetwork(link(delay_trace="nothing")).up()


def test_elsewhere_it_says_what_to_use_instead(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(MissingCapability, match="labkit net relay"):
        LabNetwork().up()


def test_a_dead_lab_says_so():
    with LabNetwork() as net:
        program = net.alice.start(["sleep", "1000"])
        os.kill(net.alice.place.pid, signal.SIGKILL)
        assert program.wait(5) == -signal.SIGKILL
        with pytest.raises(LocalProtocolError, match="has ended"):
            net.alice.run(["true"])


CRASH = """
import os, sys, time
from labkit.live.link import LabNetwork
net = LabNetwork("wifi", capture=sys.argv[1]).up()
net.bob.start(["sleep", sys.argv[2]])
net.alice.start(["bash", "-c", "setsid sleep $0 & trap '' TERM; sleep $0", sys.argv[2]])
print(net.alice.place.pid, flush=True)
time.sleep(1000)
"""


def processes(*marks):
    """The PIDs of those whose command line has one of these words."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(mark.encode() in words for mark in marks):
            found.add(int(folder.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_when_its_maker_dies_nothing_is_left(tmp_path, number):
    devices = Path("/proc/net/dev").read_text().count(":")
    mark = f"9999.{os.getpid()}{number}"
    maker = subprocess.Popen(
        [sys.executable, "-c", CRASH, tmp_path / "x.pcapng", mark],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    keeper = int(maker.stdout.readline())
    while len(processes(mark)) < 4:  # the maker and three sleepers, at least
        time.sleep(0.02)
    maker.send_signal(number)
    maker.wait()
    maker.stdout.close()
    deadline = time.monotonic() + 10
    while (left := processes(mark, str(maker.pid))) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == set(), "sleepers, or a helper, which has its maker's PID among its words"
    assert not Path(f"/proc/{keeper}").exists()
    assert Path("/proc/net/dev").read_text().count(":") == devices
