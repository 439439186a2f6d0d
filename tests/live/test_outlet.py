"""The socket that only sends: it shares a port, and takes nothing from it."""

import socket
import sys

import pytest

from labkit.live.outlet import outlet
from labkit.live.udp import udp_socket
from labkit.words.errors import BadInput

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has one"),
]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1"])
def test_all_that_arrives_is_the_first_sockets(host):
    """From sixty-four ports: without the program every second would go to the twin."""
    here = "127.0.0.1" if host == "0.0.0.0" else host
    with udp_socket(host, 0) as first:
        twin = outlet(first)
        assert twin is not None
        assert twin.getsockname() == first.getsockname()
        port = first.getsockname()[1]
        for number in range(64):
            with socket.socket(first.family, socket.SOCK_DGRAM) as other:
                other.bind((here, 0))
                other.sendto(b"%d" % number, (here, port))
                assert first.recv(10) == b"%d" % number
                twin.sendto(b"back", other.getsockname())
                data, source = other.recvfrom(10)
                assert (data, source[1]) == (b"back", port)
        with pytest.raises(BlockingIOError):
            twin.recv(10)
        twin.close()


def test_the_port_is_still_taken():
    """A second server of the same user is told so."""
    with udp_socket("127.0.0.1", 0) as first:
        twin = outlet(first)
        assert twin is not None
        with pytest.raises(BadInput, match="cannot receive"):
            udp_socket(*first.getsockname())
        twin.close()


def test_it_has_as_much_room_to_send():
    with udp_socket("127.0.0.1", 0) as first:
        twin = outlet(first)
        assert twin is not None
        room = [s.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) for s in (first, twin)]
        assert room[0] == room[1]
        twin.close()
