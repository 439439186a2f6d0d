"""Marks on real sockets: set, read back, and seen by who receives."""

import asyncio
import socket
import time

import pytest

from labkit.live.marks import ask_for_marks, receive_marked
from labkit.live.sockopts import get_mark, mark, queue_priority, set_mark
from labkit.words.dscp import Dscp, Mark

pytestmark = pytest.mark.live

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
FAMILIES = pytest.mark.parametrize(
    "family", [socket.AF_INET, pytest.param(socket.AF_INET6)], ids=["IPv4", "IPv6"]
)


def bound(family, kind):
    sock = socket.socket(family, kind)
    try:
        sock.bind((LOOPBACK[family], 0))
    except OSError as error:  # a machine without IPv6
        sock.close()
        pytest.skip(str(error))
    sock.settimeout(5)
    return sock


@FAMILIES
@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["UDP", "TCP"])
def test_what_is_set_is_read_back(family, kind):
    with bound(family, kind) as sock:
        assert get_mark(sock) == Mark(0)
        assert set_mark(sock, Dscp.EF) == Mark(Dscp.EF)
        level, option = (
            (socket.IPPROTO_IP, socket.IP_TOS)
            if family == socket.AF_INET
            else (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)
        )
        assert sock.getsockopt(level, option) == 0xB8
        assert set_mark(sock, 0) == Mark(0)


@FAMILIES
def test_a_datagram_comes_with_its_mark_and_its_time(family):
    with bound(family, socket.SOCK_DGRAM) as ear, bound(family, socket.SOCK_DGRAM) as mouth:
        ask_for_marks(ear)
        before = time.time_ns()
        marks = (Dscp.EF, Dscp.LE, Dscp.CS0, Dscp.AF41)
        for dscp in marks:
            set_mark(mouth, dscp)
            mouth.sendto(bytes([dscp]), ear.getsockname())
        came = [receive_marked(ear) for _ in marks]
        assert [a.mark for a in came] == [Mark(d) for d in marks]
        assert [a.data for a in came] == [bytes([d]) for d in marks]
        assert came[0].source == mouth.getsockname()[:2]
        stamps = [a.stamp for a in came]
        assert all(before <= stamp <= time.time_ns() for stamp in stamps)


def test_an_ipv6_socket_marks_what_it_sends_over_ipv4():
    """A server that listens on :: also speaks to ::ffff:127.0.0.1."""
    with bound(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ask_for_marks(ear)
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as both:
            both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            set_mark(both, Dscp.EF)
            both.sendto(b"x", ("::ffff:127.0.0.1", ear.getsockname()[1]))
        assert receive_marked(ear).mark == Mark(Dscp.EF)


def test_the_ecn_bits_are_left_alone():
    with bound(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 2)
        assert set_mark(sock, Dscp.EF).tos == 0xBA


def test_who_is_accepted_has_the_mark_of_who_listens():
    with bound(socket.AF_INET, socket.SOCK_STREAM) as server:
        set_mark(server, Dscp.AF31)
        server.listen()
        with socket.create_connection(server.getsockname()), server.accept()[0] as accepted:
            assert get_mark(accepted) == Mark(Dscp.AF31)


def test_the_mark_chooses_the_queue_and_may_be_overruled():
    """socket(7): IP_TOS sets SO_PRIORITY, so who wants another says so afterwards."""
    with bound(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if queue_priority(sock) is None:
            pytest.skip("only Linux has SO_PRIORITY")
        assert queue_priority(sock) == 0
        set_mark(sock, Dscp.EF)
        assert queue_priority(sock) == 4  # TC_PRIO_INTERACTIVE_BULK of linux/pkt_sched.h
        assert queue_priority(sock, 6) == 6
        assert get_mark(sock) == Mark(Dscp.EF)


def test_asyncio_s_sockets_can_be_marked():
    """What a transport gives is no socket, but takes options."""

    async def marked():
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        try:
            sock = transport.get_extra_info("socket")
            return mark(sock, Dscp.EF), get_mark(sock)
        finally:
            transport.close()

    assert asyncio.run(marked()) == ("", Mark(Dscp.EF))


def test_a_system_that_takes_the_call_and_does_nothing_is_found_out():
    """Windows: what comes back is not what was asked."""

    class Windows:
        family = socket.AF_INET

        def setsockopt(self, level: int, option: int, value: int) -> None: ...

        def getsockopt(self, level: int, option: int) -> int:
            return 0

    assert set_mark(Windows(), Dscp.EF) != Mark(Dscp.EF)
    assert "marked CS0, not EF" in mark(Windows(), Dscp.EF)


def test_a_socket_that_is_gone_is_said_in_words():
    sock = bound(socket.AF_INET, socket.SOCK_DGRAM)
    sock.close()
    assert "not marked EF: Bad file descriptor" in mark(sock, Dscp.EF)
