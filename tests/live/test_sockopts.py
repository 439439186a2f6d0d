"""Socket options on real sockets: what the kernel says afterwards is what counts."""

import errno
import os
import socket
import sys

import pytest

from labkit.live.sockopts import (
    cannot_bind,
    no_delay,
    receive_buffer,
    reuse_address,
    send_buffer,
)
from labkit.live.udp import udp_socket
from labkit.words.errors import BadInput


@pytest.fixture
def udp():
    """A bound UDP socket that does not wait."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


def test_an_address_of_another_machine_is_no_matter_of_ports():
    """192.0.2.0/24 is nobody's (RFC 5737)."""
    with pytest.raises(BadInput) as said:
        udp_socket("192.0.2.1", 0)
    assert "address of this machine" in said.value.remedy


def test_a_busy_port_is_told_in_the_system_s_words():
    """asyncio's own say the address twice."""
    error = OSError(errno.EADDRINUSE, "error while attempting to bind on address ('::1', 5)")
    told = cannot_bind("cannot listen on TCP [::1]:5", error)
    assert str(told).startswith(f"cannot listen on TCP [::1]:5: {os.strerror(errno.EADDRINUSE)}")
    assert "another port" in told.remedy


@pytest.mark.parametrize("on", [True, False])
def test_nagle_is_switched_off_and_on(on):
    """`no_delay` sets TCP_NODELAY, and can take it back."""
    with socket.socket() as sock:
        no_delay(sock, not on)
        no_delay(sock, on)
        assert bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) is on


def burst(sock: socket.socket, count: int) -> int:
    """How many of `count` datagrams the kernel holds for a reader that is not reading."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            sender.sendto(bytes(160), sock.getsockname())
    held = 0
    while True:
        try:
            sock.recv(2048)
        except BlockingIOError:
            return held
        held += 1


def test_a_larger_receive_buffer_holds_a_longer_burst(udp):
    """What was granted decides how many datagrams survive until somebody reads."""
    small = receive_buffer(udp, 8 * 1024)
    few = burst(udp, 200)
    large = receive_buffer(udp, 128 * 1024)
    many = burst(udp, 200)
    assert small < large
    assert 0 < few < many


def test_more_than_the_kernel_allows_is_cut_and_told(udp):
    """A wish without bounds raises nothing; the answer is what there is."""
    before = udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    granted = receive_buffer(udp, 2**30)
    assert granted == udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert granted >= before


def test_a_system_that_refuses_is_asked_for_less():
    """macOS raises ENOBUFS above its maximum instead of cutting."""

    class Mac:
        granted = 0

        def setsockopt(self, level: int, option: int, value: int) -> None:
            if value > 300_000:
                raise OSError(errno.ENOBUFS, "No buffer space available")
            self.granted = value

        def getsockopt(self, level: int, option: int) -> int:
            return self.granted

    assert receive_buffer(Mac(), 1 << 20) == 1 << 18
    assert send_buffer(Mac(), 1 << 10) == 1 << 10


def test_other_errors_are_not_hidden():
    """A closed socket is a mistake, not a small buffer."""
    sock = socket.socket()
    sock.close()
    with pytest.raises(OSError, match=r"Bad file|not a socket"):
        receive_buffer(sock, 1024)


def listen(port: int, *, reuse: bool) -> socket.socket:
    server = socket.socket()
    if reuse:
        reuse_address(server)
    try:
        server.bind(("127.0.0.1", port))
    except OSError:
        server.close()
        raise
    server.listen()
    return server


@pytest.mark.skipif(sys.platform == "win32", reason="there a resting port is free anyway")
def test_a_restarted_server_has_its_port_back():
    """The side that closes first leaves its port in TIME_WAIT; `reuse_address` ignores that."""
    server = listen(0, reuse=True)
    port = server.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    accepted, _ = server.accept()
    accepted.close()
    server.close()
    assert client.recv(1) == b""
    client.close()
    with pytest.raises(OSError, match="in use"):
        listen(port, reuse=False)
    listen(port, reuse=True).close()
