"""A session is protected as its description says, on real sockets too."""

import asyncio
from random import Random

import numpy as np
import pytest

from labkit.codec import Blank
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Joined, Role
from labkit.core.source import Clip
from labkit.endpoints.dtlscontext import fingerprint
from labkit.endpoints.dtlsdoor import DtlsDoor
from labkit.endpoints.dtlssrtp import DtlsSrtp
from labkit.endpoints.receiver import Finished, Receiver
from labkit.endpoints.secured import secured
from labkit.endpoints.sender import Sender
from labkit.endpoints.server import Server
from labkit.endpoints.srtp import Srtp, new_key
from labkit.endpoints.voice import Voice
from labkit.live.certs import Authority
from labkit.live.udp import open_udp
from labkit.wire import sdp
from labkit.wire.sdes import Crypto, Suite
from labkit.wire.sdpdtls import DtlsParameters, Setup
from labkit.words.errors import BadInput

AUTHORITY = Authority.make()
ALICES = AUTHORITY.server(["alice"])


def us():
    return AUTHORITY.client("bob")


def describe(security, port=5004) -> str:
    return sdp.describe(Blank().format, host="127.0.0.1", port=port, security=security)


def voice(frames=25) -> Voice:
    return Voice(Blank(), Clip(np.zeros((frames * 960, 1), np.int16)), rng=Random(1))


def listen(text: str, peer=None):
    return secured(RtpSession(Role.RECEIVER, text, peer=peer), sdp.parse(text), us)


def test_each_description_has_its_own_session():
    assert isinstance(listen(describe(None)), RtpSession)
    key = Crypto.of(1, new_key(Suite.AEAD_AES_256_GCM))
    by_key = listen(describe((key,)))
    assert isinstance(by_key, Srtp)
    assert by_key.suite is Suite.AEAD_AES_256_GCM
    pins = (fingerprint(ALICES.certificate),)
    for theirs, ours in ((Setup.PASSIVE, Setup.ACTIVE), (Setup.ACTPASS, Setup.ACTIVE),
                         (Setup.ACTIVE, Setup.PASSIVE)):  # fmt: skip
        by_dtls = listen(describe(DtlsParameters(pins, theirs)), ("127.0.0.1", 5004))
        assert isinstance(by_dtls, DtlsSrtp)
        assert by_dtls.handshake.setup is ours


def test_what_cannot_be_done_is_said():
    pins = (fingerprint(ALICES.certificate),)
    with pytest.raises(BadInput, match="holdconn"):
        listen(describe(DtlsParameters(pins, Setup.HOLDCONN)), ("127.0.0.1", 5004))
    with pytest.raises(BadInput, match="has no key"):
        listen(describe(()))
    unknown = Crypto(1, "F8_128_HMAC_SHA1_80", Crypto.of(1, new_key()).keys)
    with pytest.raises(BadInput, match="F8_128"):
        listen(describe((unknown,)))


@pytest.mark.live
def test_a_push_by_a_key_in_sdp_and_a_call_by_dtls_on_real_sockets():
    """Both at once, as a streamer and a receiver would do it."""

    async def main() -> None:
        finished = [asyncio.Event() for _ in range(2)]
        events: list[list] = [[], []]

        def take(which):
            def on_event(event):
                events[which].append(event)
                if isinstance(event, Finished):
                    finished[which].set()

            return on_event

        key = new_key()
        text = describe((Crypto.of(1, key),))
        pushed = await open_udp(Receiver(listen(text), Blank()), on_event=take(0))
        spoken = voice()
        session = RtpSession(Role.SENDER, peer=pushed.address, ssrc=spoken.ssrc)
        pushing = await open_udp(Sender(Srtp(session, key, None), spoken))

        door = DtlsDoor(ALICES)
        door.open_to(
            Server(voice(), lambda address: door.protect(RtpSession(Role.SENDER), address))
        )
        serving = await open_udp(door)
        dtls = DtlsParameters((fingerprint(ALICES.certificate),), Setup.PASSIVE)
        text = describe(dtls, serving.address[1])
        called = await open_udp(Receiver(listen(text, serving.address), Blank()), on_event=take(1))
        try:
            async with asyncio.timeout(20):
                for each in finished:
                    await each.wait()
        finally:
            for endpoint in (pushed, pushing, serving, called):
                endpoint.close()
        for each in events:
            assert any(isinstance(event, Joined) for event in each)
        assert "crypto" not in events[0][0].description

    asyncio.run(main())
