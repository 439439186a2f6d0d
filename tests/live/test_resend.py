"""Datagrams leave as far apart as they are told to, on real sockets."""

import asyncio

import pytest

from labkit.live.resend import resend
from labkit.words.errors import BadInput
from labkit.words.units import ms

pytestmark = pytest.mark.live


class Ear(asyncio.DatagramProtocol):
    """Notes what comes, and when."""

    def __init__(self, wanted):
        self.came = []
        self.done = asyncio.Event()
        self._wanted = wanted

    def datagram_received(self, data, addr):
        self.came.append((asyncio.get_running_loop().time(), data))
        if len(self.came) == self._wanted:
            self.done.set()


def run(packets, **options):
    """What an ear on loopback heard of these packets, and what the sender says of it."""

    async def main():
        loop = asyncio.get_running_loop()
        transport, ear = await loop.create_datagram_endpoint(
            lambda: Ear(len(packets)), local_addr=("127.0.0.1", 0)
        )
        sending = await resend(packets, transport.get_extra_info("sockname"), **options)
        if packets:
            await ear.done.wait()
        transport.close()
        return ear.came, sending

    return asyncio.run(main())


def test_they_are_as_far_apart_as_they_were():
    """From wherever the times begin; two at the same time follow each other at once."""
    times = [0, 0, 30, 90, 100]
    came, sending = run([(ms(7_000 + t), bytes([t])) for t in times])
    assert [data for _, data in came] == [bytes([t]) for t in times]
    assert came[-1][0] - came[0][0] >= 0.099
    assert sending.packets == 5
    assert sending.refused == 0


def test_progress_is_told():
    told = []
    run([(0, b"a"), (1, b"b")], progress=lambda sent, of: told.append((sent, of)))
    assert told == [(1, 2), (2, 2)]


def test_it_stops_when_asked_and_says_how_far_it_came():
    async def main():
        stop = asyncio.Event()
        packets = [(0, b"now"), (ms(3_600_000), b"in an hour")]
        sending = asyncio.create_task(
            resend(packets, ("127.0.0.1", 9), stop=stop, progress=lambda *_: stop.set())
        )
        return await sending

    assert asyncio.run(main()).packets == 1


def test_nothing_to_send():
    assert run([])[1].packets == 0


@pytest.mark.parametrize("host", ["no.such.host.invalid", "256.1.1.1"])
def test_a_host_that_is_none(host):
    with pytest.raises(BadInput, match="cannot send to"):
        asyncio.run(resend([(0, b"x")], (host, 5004)))
