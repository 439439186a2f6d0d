"""OpenSSL's own programs shake hands with us, and say the same keys.

`openssl` keeps its own time and repeats itself by it; the key material that both sides export is
the same, or the handshake was not one (RFC 5764 section 4.2).
"""

import asyncio
import os
import shlex
from pathlib import Path

import pytest
from programs import Program, free_port

from labkit.endpoints.dtls import Handshake, Stage
from labkit.endpoints.dtlscontext import fingerprint
from labkit.live.certs import Authority
from labkit.live.udp import open_udp
from labkit.wire.sdes import Suite
from labkit.wire.sdpdtls import Setup
from labkit.words.machine import Address, Datagram, Event

pytestmark = [pytest.mark.live, pytest.mark.peer]

AUTHORITY = Authority.make()
OURS, THEIRS = AUTHORITY.server(["us"]), AUTHORITY.server(["them"])
SUITE = Suite.AES_CM_128_HMAC_SHA1_80
EXPORT = (
    "-use_srtp", "SRTP_AES128_CM_SHA1_80", "-keymatexport", "EXTRACTOR-dtls_srtp",
    "-keymatexportlen", 60,
)  # fmt: skip


SAID = "Keying material: ([0-9A-F]{120})"


class Alone:
    """A handshake as a datagram machine, with one peer: given, or whoever comes."""

    def __init__(self, handshake: Handshake, peer: Address = None) -> None:
        self.handshake = handshake
        self.peer = peer
        self.over = asyncio.Event()

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        self.peer = source
        self.handshake.receive(data, now)
        self._look()

    def tick(self, now: int) -> None:
        self.handshake.tick(now)
        self._look()

    def _look(self) -> None:
        if self.handshake.stage in (Stage.DONE, Stage.FAILED):
            self.over.set()

    def deadline(self) -> int | None:
        return self.handshake.deadline()

    def transmits(self) -> list[Datagram]:
        return [Datagram(data, self.peer) for data in self.handshake.transmits()]

    def events(self) -> list[Event]:
        return []


@pytest.fixture
def files(tmp_path: Path) -> list[object]:
    THEIRS.save(tmp_path, "them")
    return ["-cert", tmp_path / "them.pem", "-key", tmp_path / "them-key.pem"]


def material(handshake: Handshake) -> str:
    """Client key, server key, client salt, server salt; in hexadecimal as `openssl` prints it."""
    assert handshake.stage is Stage.DONE, handshake.error
    sides = handshake.ours, handshake.theirs
    client, server = sides if handshake.setup is Setup.ACTIVE else sides[::-1]
    assert client.suite is SUITE
    return (client.key + server.key + client.salt + server.salt).hex().upper()


def test_we_begin(need, files, tmp_path):
    need("openssl")
    port = free_port()
    silent = tmp_path / "stdin"  # `s_server` leaves when its input ends: here it never does
    os.mkfifo(silent)
    command = ["openssl", "s_server", "-dtls1_2", "-accept", port, *files, "-Verify", 1, *EXPORT]

    async def main() -> None:
        words = shlex.join(map(str, command))
        with Program(["sh", "-c", f"exec {words} <> {silent}"]) as server:
            await asyncio.to_thread(server.wait_for, "ACCEPT")
            pins = [fingerprint(THEIRS.certificate)]
            handshake = Handshake(OURS, Setup.ACTIVE, pins, suites=[SUITE])
            machine = Alone(handshake, ("127.0.0.1", port))
            endpoint = await open_udp(machine)
            try:
                await asyncio.wait_for(machine.over.wait(), 10)
                said = await asyncio.to_thread(server.wait_for, SAID)
            finally:
                endpoint.close()
            assert said[1] == material(handshake)

    asyncio.run(main())


def test_they_begin(need, files):
    need("openssl")

    async def main() -> None:
        pins = [fingerprint(THEIRS.certificate)]
        handshake = Handshake(OURS, Setup.PASSIVE, pins, suites=[SUITE])
        machine = Alone(handshake)
        endpoint = await open_udp(machine)
        where = "{}:{}".format(*endpoint.address)
        command = ["openssl", "s_client", "-dtls1_2", "-connect", where, *files, *EXPORT]
        try:
            with Program(command) as client:
                await asyncio.wait_for(machine.over.wait(), 10)
                said = await asyncio.to_thread(client.wait_for, SAID)
                assert said[1] == material(handshake)
        finally:
            endpoint.close()

    asyncio.run(main())
