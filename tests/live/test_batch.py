"""The same datagram to many: by sendmmsg and by sendto alike."""

import errno
import socket

import pytest

from labkit.live import batch
from labkit.live.batch import Batch, sockaddr

pytestmark = pytest.mark.live


@pytest.fixture
def sender():
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


@pytest.fixture
def ears():
    sockets = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(5)]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
    yield sockets
    for sock in sockets:
        sock.close()


def heard(ears) -> list[list[bytes]]:
    """What each of them got."""
    came = []
    for ear in ears:
        came.append([])
        try:
            while True:
                came[-1].append(ear.recv(2048))
        except BlockingIOError:
            pass
    return came


def everybody(ears) -> tuple:
    return tuple(ear.getsockname() for ear in ears)


@pytest.mark.parametrize("sendmmsg", [True, False])
def test_each_gets_each_packet(sender, ears, sendmmsg):
    out = Batch(sender, sendmmsg=sendmmsg)
    all_of_them = everybody(ears)
    for data in (b"one", b"another", b""):
        out.send_copies(data, all_of_them)
    out.send_copies(b"to two", all_of_them[:2])
    out.send(b"to one", all_of_them[4])
    rest = [b"one", b"another", b""]
    assert heard(ears) == [[*rest, b"to two"]] * 2 + [rest, rest, [*rest, b"to one"]]
    assert out.unsent == 0


def test_more_than_the_kernel_takes_in_one_call(sender, ears):
    """UIO_MAXIOV is 1024; the destinations may be the same."""
    out = Batch(sender)
    out.send_copies(b"x", everybody(ears) * 500)
    assert out.unsent == 0
    assert all(each for each in heard(ears))  # the kernel keeps some hundred for each


def test_one_that_cannot_be_reached_costs_only_itself(sender, ears):
    """Broadcast is forbidden without SO_BROADCAST: EACCES, for this one."""
    first, *others = everybody(ears)
    for sendmmsg in (True, False):
        out = Batch(sender, sendmmsg=sendmmsg)
        out.send_copies(b"hello", (first, ("255.255.255.255", 9), *others))
        assert out.unsent == 1
    assert heard(ears) == [[b"hello"] * 2] * 5


def test_when_the_kernel_is_full_the_others_are_first_next_time(sender, monkeypatch):
    """It takes two datagrams of each call and no third: in three packets six have had one."""
    destinations = tuple(("127.0.0.1", 9000 + number) for number in range(6))
    out = Batch(sender)
    taken: list[int] = []
    room = [0]

    def full(descriptor: int, start: int, count: int, flags: int) -> int:
        if room[0] == 0:
            monkeypatch.setattr(batch.ctypes, "get_errno", lambda: errno.EAGAIN)
            return -1
        first = (start - out._table(destinations).at(0)) // batch.ctypes.sizeof(batch._Mmsghdr)
        sent = min(room[0], count)
        room[0] -= sent
        taken.extend(range(first, first + sent))
        return sent

    out._sendmmsg = full
    for _ in range(4):
        room[0] = 4
        out.send_copies(b"x", destinations)
    assert taken == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3]
    assert out.unsent == 4 * 2


def test_names_are_left_to_sendto(sender, ears):
    out = Batch(sender)
    addresses = tuple(("localhost", port) for _, port in everybody(ears))
    out.send_copies(b"hello", addresses)
    assert heard(ears) == [[b"hello"]] * 5


def test_the_kernels_form_of_an_address():
    """struct sockaddr_in and sockaddr_in6 of Linux: netinet/in.h."""
    family4, family6 = (int(f).to_bytes(2, "little") for f in (socket.AF_INET, socket.AF_INET6))
    if int.from_bytes(family4, "little") != socket.AF_INET:
        pytest.skip("another order of bytes")
    assert sockaddr(("10.1.2.3", 5004)) == family4 + bytes.fromhex("138c 0a010203") + bytes(8)
    six = sockaddr(("fe80::1%lo", 5004, 0, 1))
    where = bytes.fromhex("138c 00000000 fe80") + bytes(13) + b"\x01"
    assert six == family6 + where + socket.if_nametoindex("lo").to_bytes(4, "little")
    assert len(six) == 28


def test_tables_are_kept_for_a_few_sets_only(sender, ears):
    """Listeners come and go; what was prepared for those who were there is forgotten."""
    out = Batch(sender)
    for _ in range(100):
        out.send_copies(b"x", everybody(ears))
    assert len(out._tables) == batch.PREPARED
