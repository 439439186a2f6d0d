"""Sniffing: in a notebook's running event loop, at a host of a lab, and without rights."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from labkit.lab.sniff import sniff
from labkit.lab.sniffers import require_rights
from labkit.live.link.network import LabNetwork
from labkit.wire import rtp
from labkit.words.errors import BadInput, MissingCapability
from labkit.words.packet import Packet

pytestmark = pytest.mark.live

NOBODY = 65534


def may(what):
    """Whether this account may capture: with "socket" or with "dumpcap"."""
    try:
        require_rights(what)
    except MissingCapability:
        return False
    return True


needs_root = pytest.mark.skipif(not may("socket"), reason="raw sockets need rights")


@pytest.fixture
def port():
    """A UDP port of our own, where somebody listens: else ICMP answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def send(port, count=5):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for n in range(count):
            packet = Packet(n, 960 * n, b"voice", payload_type=111, ssrc=7)
            sock.sendto(rtp.pack(packet), ("127.0.0.1", port))


@needs_root
def test_on_loopback_each_packet_is_seen_once(port):
    """The kernel shows it twice: going out and coming in."""
    with sniff(f"udp port {port}", rtp=port) as packets:
        send(port)
        assert packets.wait(5) == 5
    assert len(packets) == 5
    assert [p["RTP"].sequence for p in packets] == [0, 1, 2, 3, 4]
    (stream,) = packets.traffic.voices
    assert [p.seq for p in stream.packets] == [0, 1, 2, 3, 4]


@needs_root
def test_it_can_be_awaited(port):
    """The event loop goes on: it is what sends."""

    async def main():
        async def later():
            for _ in range(100):
                await asyncio.sleep(0.05)
                send(port, 1)

        sender = asyncio.create_task(later())
        packets = await sniff(f"udp port {port}", count=3, seconds=20)
        sender.cancel()
        return packets

    assert len(asyncio.run(main())) >= 3


@needs_root
def test_a_device_or_a_filter_that_is_none_is_told_at_once():
    with pytest.raises(BadInput, match="cannot sniff on nope0"), sniff("udp", device="nope0"):
        pass
    with pytest.raises(BadInput, match="filter"), sniff("no filter at all"):
        pass


@pytest.mark.peer
@pytest.mark.skipif(not may("dumpcap"), reason="dumpcap needs rights")
def test_pyshark_dissects_live_packets(need, port):
    """Wireshark's names, and numbers where they are numbers."""
    need("tshark")
    with sniff(f"udp port {port}", using="pyshark", rtp=port) as packets:
        send(port)
    assert [p.rtp.seq for p in packets] == [0, 1, 2, 3, 4]
    with pytest.raises(BadInput, match="no bytes"):
        _ = packets.traffic


@pytest.mark.peer
@pytest.mark.skipif(not may("dumpcap"), reason="dumpcap needs rights")
def test_tshark_says_why_it_does_not_capture(need):
    need("tshark")
    with (
        pytest.raises(BadInput, match="tshark does not capture"),
        sniff("no filter", using="pyshark"),
    ):
        pass


@pytest.mark.net
def test_at_a_host_of_a_lab_everybody_may_sniff():
    """Whoever runs this test, in a network of its own."""
    code = (
        "import socket,sys; s=socket.socket(2,2); [s.sendto(b'x',(sys.argv[1],9)) for _ in 'abc']"
    )
    with LabNetwork("clear") as net:
        with sniff("udp dst port 9", at=net.bob) as packets:
            net.alice.run([sys.executable, "-c", code, net.bob.address], check=True)
        assert len(packets) == 3
        assert packets.traffic[1].destination == (net.bob.address, 9)
        with pytest.raises(BadInput, match="cannot sniff at bob"), sniff("no filter", at=net.bob):
            pass


NOTEBOOK = [
    (
        "from labkit.lab.sniff import sniff\nimport asyncio, socket\n"
        "sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nsock.bind(('127.0.0.1', 0))\n"
        "port = sock.getsockname()[1]\n"
        "def send():\n    for n in range(4): sock.sendto(b'hello', ('127.0.0.1', port))"
    ),
    "with sniff(f'udp port {port}') as packets:\n    send()\nlen(packets)",
    (
        "async with sniff(f'udp port {port}') as packets:\n"
        "    send()\n    await asyncio.sleep(0.1)\nlen(packets)"
    ),
    (
        "asyncio.get_running_loop().call_later(1.5, send)\n"
        "packets = await sniff(f'udp port {port}', count=4, seconds=20)\nlen(packets)"
    ),
    (
        "with sniff(f'udp port {port}', using='pyshark') as packets:\n    send()\n"
        "[p.udp.dstport == port for p in packets]"
    ),
]


@needs_root
@pytest.mark.peer
def test_it_works_in_a_notebook_whose_event_loop_runs(need, tmp_path):
    """Where pyshark's own captures say "This event loop is already running"."""
    need("tshark")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in NOTEBOOK])
    NotebookClient(notebook, timeout=50, resources={"metadata": {"path": tmp_path}}).execute()
    said = [c.outputs[-1]["data"]["text/plain"] for c in notebook.cells if c.outputs]
    assert said == ["4", "4", "4", "[True, True, True, True]"]


WITHOUT = """
import sys
sys.path[:0] = sys.argv[1:]
from labkit.lab.sniff import sniff
from labkit.words.errors import MissingCapability
for using in "scapy", "pyshark":
    try:
        sniff("udp", using=using)
    except MissingCapability as missing:
        print(missing)
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="changes the user")
def test_without_rights_it_says_so_at_once_and_what_to_do_instead(need):
    """As nobody, whose scapy would say it too late and whose pyshark would wait for ever."""
    need("tshark")
    root = Path(__file__).parents[2]
    path = [str(root), *filter(None, sys.path)]
    done = subprocess.run(
        [_python_for_all(), "-c", WITHOUT, *path],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "MPLCONFIGDIR": "/tmp"},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    if "Permission denied" in done.stderr or "No module named" in done.stderr:
        pytest.skip("this Python is closed to other users")
    assert done.stdout.count("with LabNetwork") == 2, done.stderr
    assert "needs the right to open raw sockets" in done.stdout
    assert "dumpcap may not open lo" in done.stdout
    assert done.stdout.count('a shipped capture: capture("01_frames")') == 2


def _python_for_all():
    """This Python if others may run it, else the system's of the same version."""
    real = Path(sys.executable).resolve()
    closed = any(not folder.stat().st_mode & 1 for folder in real.parents)
    system = Path(f"/usr/bin/python3.{sys.version_info.minor}")
    return str(system if closed and system.exists() else real)


def test_a_library_that_is_none_is_told():
    with pytest.raises(BadInput, match="scapy or pyshark"):
        sniff("udp", using="tcpdump")


@needs_root
def test_an_error_inside_the_block_ends_the_sniffing_and_comes_out():
    """No thread stays."""
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), sniff("udp"):
        _ = 1 // 0
    assert threading.active_count() <= before
