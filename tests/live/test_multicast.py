"""One datagram for a whole group, on loopback."""

import asyncio
import socket
import struct
import subprocess
import sys
from random import Random

import numpy as np
import pytest

from labkit.codec import Blank
from labkit.core.datagramsession import DatagramSession
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Closed, Joined, Limits, Received, Report, Role
from labkit.core.source import Clip
from labkit.endpoints.server import Server
from labkit.endpoints.voice import Voice
from labkit.live.clock import now
from labkit.live.multicast import group_socket, is_group, join_group, send_to_groups
from labkit.live.udp import open_udp
from labkit.words.errors import BadInput
from labkit.words.machine import Event
from labkit.words.units import ms

pytestmark = pytest.mark.live

HOST = "127.0.0.1"
FRAMES = 25


def free_group(last: int) -> tuple[str, int]:
    """An administratively scoped group, and a port that nobody has."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        return f"239.255.77.{last}", probe.getsockname()[1]


async def until(done, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not done():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        ("224.0.0.1", True),
        ("239.255.255.255", True),
        ("223.255.255.255", False),
        ("240.0.0.1", False),
        ("ff15::1", True),
        ("ff02::1%lo", True),
        ("fe80::1", False),
        ("group.example", False),
    ],
)
def test_which_addresses_are_groups(host, is_one):
    """RFC 5771: 224.0.0.0 to 239.255.255.255; RFC 4291 section 2.7: ff00::/8."""
    assert is_group(host) is is_one


def test_rtp_to_a_group_is_heard_by_all_and_their_reports_by_the_sender():
    """The server sends each packet once, beside a listener that is alone; nobody hears himself."""

    async def main():
        group = free_group(1)
        voice = Voice(Blank(), Clip(np.zeros((FRAMES * 960, 1), np.int16)), rng=Random(1))

        def make(address) -> RtpSession:
            pushed = {"peer": group} if address == group else {}
            rng = Random(str(address))
            return RtpSession(
                Role.SENDER, "v=0", ssrc=voice.ssrc, rng=rng, rtcp_interval=ms(200), **pushed
            )

        server = Server(voice, make)
        told: list[Event] = []
        alice = await open_udp(server, on_event=told.append)
        await join_group(alice, group)

        ears: list[list[Event]] = [[] for _ in range(4)]
        sessions = [
            RtpSession(
                Role.RECEIVER,
                peer=group if number else alice.address,
                rng=Random(number),
                rtcp_interval=ms(200),
            )
            for number in range(4)
        ]
        ends = []
        for number, (session, ear) in enumerate(zip(sessions, ears, strict=True)):
            if number:  # in the group before it opens its mouth
                end = await open_udp(session, on_event=ear.append)
                await join_group(end, group)
                ends.append(end)
        server.admit(group)
        ends.append(await open_udp(sessions[0], on_event=ears[0].append))
        server.tick(now())
        alice.turn()
        await until(lambda: all(any(isinstance(e, Closed) for e in ear) for ear in ears))
        heard = [[e.packet.seq for e in ear if isinstance(e, Received)] for ear in ears]
        assert all(len(each) >= FRAMES - 5 for each in heard)
        assert heard[1] == heard[2] == heard[3]
        reports = {e.ssrc for e in told if isinstance(e, Report) and not e.ours}
        assert reports == {voice.ssrc}
        assert set(server.clients) <= {group, ends[-1].address}  # reports made nobody a listener
        assert all(session.loops == 0 for session in sessions)
        for end in (alice, *ends):
            end.close()

    asyncio.run(main())


def test_our_own_header_to_a_group():
    """All ask, one is answered for all, and receivers leave in silence."""

    async def main():
        group = free_group(2)
        voice = Voice(Blank(), Clip(np.zeros((FRAMES * 960, 1), np.int16)), rng=Random(1))
        server = Server(voice, lambda _: DatagramSession(Role.SENDER, "v=0"))
        alice = await open_udp(server)
        await join_group(alice, group)
        ears: list[list[Event]] = [[], []]
        silent = Limits(goodbyes=0)
        sessions = [DatagramSession(Role.RECEIVER, peer=group, limits=silent) for _ in ears]
        ends = []
        for session, ear in zip(sessions, ears, strict=True):
            end = await open_udp(session, on_event=ear.append)
            await join_group(end, group)
            ends.append(end)
            session.tick(now())
            end.turn()
        await until(lambda: all(any(isinstance(e, Joined) for e in ear) for ear in ears))
        await until(lambda: all(sum(isinstance(e, Received) for e in ear) > 5 for ear in ears))
        sessions[0].close(now())
        ends[0].turn()
        so_far = len(ears[1])
        await until(lambda: len(ears[1]) > so_far + 3)  # nobody else was ended by that
        assert list(server.clients) == [group]
        for end in (alice, *ends):
            end.close()

    asyncio.run(main())


def test_only_what_one_source_sends():
    """Source-specific multicast, RFC 4607: of two senders one is heard."""
    group, port = "232.1.2.3", free_group(3)[1]
    with (
        group_socket(group, port, interface=HOST, source=HOST) as ear,
        group_socket(group, port, interface=HOST, source="127.0.0.9") as other,
        socket.socket(type=socket.SOCK_DGRAM) as sender,
    ):
        sender.bind((HOST, 0))
        send_to_groups(sender, interface=HOST)
        sender.sendto(b"hello", (group, port))
        ear.settimeout(10)
        assert ear.recv(100) == b"hello"
        with pytest.raises(BlockingIOError):
            other.recv(100)


def test_ttl_interface_and_loop_are_what_was_asked():
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        send_to_groups(sock, interface=HOST, ttl=7, loop=False)
        get = sock.getsockopt
        assert get(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 7
        assert get(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP) == 0
        chosen = get(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, 4)
        assert struct.unpack("4B", chosen) == (127, 0, 0, 1)


@pytest.mark.parametrize(
    ("group", "options", "why"),
    [
        ("10.0.0.1", {}, "no multicast group"),
        ("239.255.0.1", {"interface": "203.0.113.1"}, "multicast on"),
        ("ff15::1", {"source": "::1"}, "one source"),
    ],
)
def test_what_cannot_be_is_said_with_a_remedy(group, options, why):
    with pytest.raises(BadInput, match=why) as error:
        group_socket(group, 5004, **options)
    assert error.value.remedy


def test_a_socket_bound_to_any_address_needs_an_interface():
    async def main():
        endpoint = await open_udp(DatagramSession(Role.SENDER), host="0.0.0.0")
        with pytest.raises(BadInput, match="bound to any address"):
            await join_group(endpoint, free_group(4))
        await join_group(endpoint, free_group(5), interface=HOST)
        endpoint.close()

    asyncio.run(main())


TWO_COMPUTERS = """
unshare -n sleep 20 & far=$!
while [ "$(readlink /proc/$far/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do :; done
ip link add near type veth peer name far netns $far
ip address add 10.9.0.1/24 dev near
ip link set near up
nsenter -t $far -n sh -c 'ip address add 10.9.0.2/24 dev far; ip link set far up'
nsenter -t $far -n "$1" -c "$2" & listener=$!
"$1" -c "$3" & sender=$!
wait $listener && echo heard
kill $far $sender
"""
LISTENER = """
from labkit.live.multicast import group_socket
ears = [group_socket("239.255.0.1", 5004, interface="10.9.0.2")]
ears.append(group_socket("ff15::1", 5006, interface="far"))
for ear in ears:
    ear.settimeout(10)
    assert ear.recv(100) == b"hello"
"""
SENDER = """
import socket, time
from labkit.live.multicast import send_to_groups
four, six = (socket.socket(f, socket.SOCK_DGRAM) for f in (socket.AF_INET, socket.AF_INET6))
send_to_groups(four, interface="10.9.0.1")
send_to_groups(six, interface="near")
for _ in range(500):
    four.sendto(b"hello", ("239.255.0.1", 5004))
    try:
        six.sendto(b"hello", ("ff15::1", 5006))
    except OSError:  # its address is still being made sure of (RFC 4862 section 5.4)
        pass
    time.sleep(0.02)
"""


def test_from_one_computer_to_another(need):
    """IPv4 and IPv6, over an Ethernet between two network namespaces."""
    need("unshare", "nsenter", "ip")
    shell = ["unshare", "-Urn", "sh", "-c", TWO_COMPUTERS, "sh", sys.executable, LISTENER, SENDER]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "heard\n", done.stderr
