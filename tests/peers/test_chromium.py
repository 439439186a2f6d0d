"""A page in Chromium hears our voice by WebRTC: with ICE, DTLS-SRTP, RTP and Opus of its own."""

import asyncio
import shutil
from random import Random
from typing import Any

import pytest
from playwright.async_api import async_playwright

from labkit.codec import Opus
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Report, Role
from labkit.core.source import Clip, Looped
from labkit.endpoints.dtls import Handshake, fingerprint
from labkit.endpoints.dtlssrtp import DtlsSrtp
from labkit.endpoints.icelite import IceLite, new_words
from labkit.endpoints.sender import Sender
from labkit.endpoints.voice import Voice
from labkit.lab.sources import speech
from labkit.live.certs import Authority
from labkit.live.udp import open_udp
from labkit.wire import sdp
from labkit.wire.sdpdtls import DtlsParameters, Setup
from labkit.wire.sdpice import answer, parse_ice

pytestmark = [pytest.mark.live, pytest.mark.peer]

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--allow-loopback-in-peer-connection", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
OFFER = """async () => {
    window.pc = new RTCPeerConnection();
    pc.addTransceiver("audio", {direction: "recvonly"});
    pc.ontrack = event => {
        const audio = document.createElement("audio");
        audio.autoplay = true;
        audio.srcObject = new MediaStream([event.track]);
        document.body.append(audio);
    };
    await pc.setLocalDescription(await pc.createOffer());
    return pc.localDescription.sdp;
}"""
ACCEPT = "sdp => pc.setRemoteDescription({type: 'answer', sdp})"
STATS = """async packets => {
    for (;;) {
        const found = {};
        for (const each of (await pc.getStats()).values())
            if (["inbound-rtp", "transport"].includes(each.type)) found[each.type] = each;
        if (found["inbound-rtp"]?.packetsReceived >= packets) return found;
        await new Promise(resolve => setTimeout(resolve, 50));
    }
}"""
PACKETS = 150
"""Three seconds."""


async def call() -> tuple[dict[str, Any], list[DtlsSrtp], list[object]]:
    """Until the page has heard enough: what it says of it, our session, and our events."""
    us, words, codec = Authority.make().server(["labkit"]), new_words(), Opus()
    voice = Voice(codec, Looped(Clip(speech().samples[: 4 * 48_000])), rng=Random(1))
    sessions: list[DtlsSrtp] = []
    events: list[object] = []
    reported = asyncio.Event()

    def take(event: object) -> None:
        events.append(event)
        if isinstance(event, Report):
            reported.set()

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=ARGUMENTS
        )
        page = await browser.new_page()
        offer = await page.evaluate(OFFER)
        pins = sdp.parse(offer).security.fingerprints

        def make(peer: Any) -> Sender:
            session = RtpSession(Role.SENDER, peer=peer, ssrc=voice.ssrc)
            sessions.append(DtlsSrtp(session, Handshake(us, Setup.PASSIVE, pins)))
            return Sender(sessions[0], voice)

        endpoint = await open_udp(IceLite(words, parse_ice(offer), make), on_event=take)
        try:
            host, port = endpoint.address
            dtls = DtlsParameters((fingerprint(us.certificate),), Setup.PASSIVE)
            where = {"host": host, "port": port, "dtls": dtls, "ice": words, "ssrc": voice.ssrc}
            await page.evaluate(ACCEPT, answer(offer, codec.format, **where))
            await asyncio.wait_for(reported.wait(), 15)
            stats = await asyncio.wait_for(page.evaluate(STATS, PACKETS), 15)
        finally:
            endpoint.close()
            await browser.close()
    return stats, sessions, events


def test_a_page_hears_our_voice(need):
    """Its own figures: everything arrived, was decrypted, decoded and was no silence."""
    need("chromium")
    stats, (session,), events = asyncio.run(call())
    heard, transport = stats["inbound-rtp"], stats["transport"]
    assert heard["packetsReceived"] >= PACKETS
    assert heard["packetsLost"] == 0
    assert heard["totalAudioEnergy"] > 0.1
    assert heard["concealedSamples"] < 0.1 * heard["totalSamplesReceived"]
    assert transport["dtlsState"] == "connected"
    assert transport["srtpCipher"] == "SRTP_AEAD_AES_128_GCM"
    # Its reports came to us by SRTCP, and say the same.
    reports = [each for each in events if isinstance(each, Report) and not each.ours]
    assert reports[-1].ssrc == session.ssrc
    assert reports[-1].cumulative_lost == 0
    assert session.refused == 0, session.refusals
