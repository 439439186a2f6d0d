"""QUIC between real kernels: a listener behind a NAT, whose port changes in the middle."""

import json
import sys

import pytest
from programs import LIMIT
from quicparts import authority, server_identity

from labkit.core.token import issue
from labkit.live.link import LabNetwork

pytestmark = [pytest.mark.live, pytest.mark.net]

SECRET = b"sixteen bytes or more"
SERVE = """
import asyncio, json, sys
from pathlib import Path
import numpy as np
from labkit.codec import Blank
from labkit.core.session import Closed, Joined, Role
from labkit.core.source import Clip
from labkit.core.token import Gate
from labkit.endpoints.quic import QuicSession
from labkit.endpoints.quicserver import QuicServer
from labkit.endpoints.quictls import ServerCredentials
from labkit.endpoints.server import Server
from labkit.endpoints.voice import Voice
from labkit.live.clock import wallclock_offset
from labkit.live.udp import open_udp

async def main(host, folder):
    shown = ServerCredentials(*((Path(folder) / n).read_bytes() for n in ("cert", "key")))
    gate = Gate(b"sixteen bytes or more", wallclock_offset=wallclock_offset())
    voice = Voice(Blank(), Clip(np.zeros((150 * 960, 1), np.int16)))
    quic = QuicServer(
        lambda address: QuicSession(Role.SENDER, "v=0", credentials=shown, gate=gate),
        lambda take: Server(voice, take),
    )
    over, ports = asyncio.Event(), set()
    def take(event):
        if isinstance(event, Closed):
            over.set()
    inner = quic.receive_datagram
    def receive(data, source, now):
        ports.add(source)
        inner(data, source, now)
    quic.receive_datagram = receive
    await open_udp(quic, host=host, port=5000, on_event=take)
    print("ready", flush=True)
    await over.wait()
    await asyncio.sleep(0.2)
    print(json.dumps([sorted(ports), gate.admitted]))

asyncio.run(main(*sys.argv[1:]))
"""
LISTEN = """
import asyncio, json, sys
from pathlib import Path
from labkit.core.session import Closed, Joined, Received, Refused, Role
from labkit.endpoints.quic import QuicSession
from labkit.endpoints.quictls import ClientCredentials
from labkit.live.udp import open_udp

async def main(host, local, folder, token):
    trusted = ClientCredentials((Path(folder) / "ca").read_bytes(), "streamer.lab")
    session = QuicSession(Role.RECEIVER, credentials=trusted, peer=(host, 5000), token=token)
    heard, told, half, over = [], [], asyncio.Event(), asyncio.Event()
    def take(event):
        if isinstance(event, Received):
            heard.append(event.packet.seq)
            if len(heard) == 50:
                half.set()
        else:
            told.append(str(event))
            if isinstance(event, Closed):
                over.set()
                half.set()
    first = await open_udp(session, host=local, on_event=take)
    await half.wait()
    if not over.is_set():
        first.close()
        await open_udp(session, host=local, on_event=take)
    await over.wait()
    await asyncio.sleep(0.2)
    print(json.dumps([heard, told]))

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_listener_behind_a_nat_whose_port_changes(tmp_path):
    """As an ordinary user: by its connection ID it is still itself (RFC 9000 section 9)."""
    for name, pem in (
        ("cert", server_identity().certificate),
        ("key", server_identity().key),
        ("ca", authority().certificate),
    ):
        (tmp_path / name).write_bytes(pem)
    python = [sys.executable, "-c"]
    with LabNetwork("lan", seed=1, nat=True) as net:
        server = net.bob.start([*python, SERVE, net.bob.address, str(tmp_path)])
        server.stdout.wait_for("ready", LIMIT)
        inside = net.alice.address
        ends = [net.bob.address, inside, str(tmp_path)]
        good = net.alice.start([*python, LISTEN, *ends, issue(SECRET, "alice", 10**10)])
        assert good.wait(LIMIT) == 0, good.stderr.text
        assert server.wait(LIMIT) == 0, server.stderr.text
    heard, told = json.loads(good.stdout.text)
    ports, admitted = json.loads(server.stdout.lines[-1])
    assert len(ports) == 2
    assert inside not in {host for host, _ in ports}  # the NAT's address is what is seen
    assert admitted == 1
    assert len(told) == 2
    assert "clean=True" in told[-1]
    assert heard == sorted(heard)
    assert heard[-1] - heard[0] == 149
    assert len(heard) > 50
