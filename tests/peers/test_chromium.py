"""A page in Chromium hears us by WebRTC, and is heard: with ICE, DTLS-SRTP and Opus of its own."""

import asyncio
import shutil
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from playwright.async_api import async_playwright

from labkit.codec import Opus
from labkit.core.delaypolicy import Fixed
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Report, Role
from labkit.core.source import Clip, Looped
from labkit.endpoints.dtls import Handshake
from labkit.endpoints.dtlscontext import fingerprint
from labkit.endpoints.dtlssrtp import DtlsSrtp
from labkit.endpoints.icelite import IceLite, new_words
from labkit.endpoints.receiver import Heard, Receiver
from labkit.endpoints.sender import Sender
from labkit.endpoints.voice import Voice
from labkit.lab.sources import speech
from labkit.live.certs import Authority
from labkit.live.udp import open_udp
from labkit.wire import sdp
from labkit.wire.sdpdtls import DtlsParameters, Setup
from labkit.wire.sdpice import Direction, answer, parse_ice
from labkit.words.units import ms

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


SPEAK = """async hertz => {
    window.pc = new RTCPeerConnection();
    const context = new AudioContext(), tone = context.createOscillator();
    const out = context.createMediaStreamDestination();
    tone.frequency.value = hertz;
    tone.connect(out);
    tone.start();
    pc.addTransceiver(out.stream.getAudioTracks()[0], {direction: "sendonly"});
    await pc.setLocalDescription(await pc.createOffer());
    return pc.localDescription.sdp;
}"""
HERTZ = 440


class Page:
    """A page that offers, and what answers it: `make(session)` makes our end of the call."""

    def __init__(self, role: Role, ssrc: int, make: Callable[[DtlsSrtp], Any]) -> None:
        self.us, self.words = Authority.make().server(["labkit"]), new_words()
        self.role, self.ssrc, self.make = role, ssrc, make
        self.session: DtlsSrtp | None = None

    async def run(
        self, offer: tuple[str, Any], take: Callable[[Any], None], until: Callable[[Any], Any]
    ) -> Any:
        """Offer, answer, and what `until(page)` gives when it is done."""
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=ARGUMENTS
            )
            page = await browser.new_page()
            text = await page.evaluate(*offer)
            pins = sdp.parse(text).security.fingerprints

            def made(peer: Any) -> Any:
                session = RtpSession(self.role, peer=peer, ssrc=self.ssrc)
                self.session = DtlsSrtp(session, Handshake(self.us, Setup.PASSIVE, pins))
                return self.make(self.session)

            agent = IceLite(self.words, parse_ice(text), made)
            endpoint = await open_udp(agent, on_event=take)
            try:
                await page.evaluate(ACCEPT, self._answer(text, *endpoint.address))
                return await asyncio.wait_for(until(page), 20)
            finally:
                endpoint.close()
                await browser.close()

    def _answer(self, offer: str, host: str, port: int) -> str:
        speaks = self.role is Role.SENDER
        return answer(
            offer,
            Opus().format,
            host=host,
            port=port,
            dtls=DtlsParameters((fingerprint(self.us.certificate),), Setup.PASSIVE),
            ice=self.words,
            ssrc=self.ssrc,
            direction=Direction.SENDONLY if speaks else Direction.RECVONLY,
        )


def test_a_page_hears_our_voice(need):
    """Its own figures: everything arrived, was decrypted, decoded and was no silence."""
    need("chromium")
    clip = Clip(speech().samples[: 4 * 48_000])
    voice = Voice(Opus(), Looped(clip), rng=Random(1))
    page = Page(Role.SENDER, voice.ssrc, lambda session: Sender(session, voice))
    reports: list[Report] = []

    async def main() -> dict[str, Any]:
        reported = asyncio.Event()

        def take(event: object) -> None:
            if isinstance(event, Report) and not event.ours:
                reports.append(event)
                reported.set()

        async def until(shown: Any) -> dict[str, Any]:
            await reported.wait()
            found: dict[str, Any] = await shown.evaluate(STATS, PACKETS)
            return found

        found: dict[str, Any] = await page.run((OFFER, None), take, until)
        return found

    stats = asyncio.run(main())
    heard, transport = stats["inbound-rtp"], stats["transport"]
    assert heard["packetsReceived"] >= PACKETS
    assert heard["packetsLost"] == 0
    assert heard["totalAudioEnergy"] > 0.1
    assert heard["concealedSamples"] < 0.1 * heard["totalSamplesReceived"]
    assert transport["dtlsState"] == "connected"
    assert transport["srtpCipher"] == "SRTP_AEAD_AES_128_GCM"
    # Its reports came to us by SRTCP, and say the same.
    assert reports[-1].ssrc == page.ssrc
    assert reports[-1].cumulative_lost == 0
    assert page.session.refused == 0, page.session.refusals


def test_we_hear_a_page(need):
    """It plays a tone, and a tone of that pitch is what our decoder gives."""
    need("chromium")
    page = Page(Role.RECEIVER, 7, lambda session: Receiver(session, Opus(), policy=Fixed(ms(60))))
    sound: list[Any] = []

    async def main() -> None:
        enough = asyncio.Event()

        def take(event: object) -> None:
            if isinstance(event, Heard):
                sound.append(event.samples)
                if len(sound) == 75:
                    enough.set()

        await page.run((SPEAK, HERTZ), take, lambda _: enough.wait())

    asyncio.run(main())
    samples = np.concatenate(sound[25:75]).astype(float).mean(axis=1)  # one second
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    pitch = int(np.argmax(spectrum)) * 48_000 / len(samples)
    assert abs(pitch - HERTZ) <= 2
    assert spectrum[HERTZ - 5 : HERTZ + 6].sum() > 0.8 * spectrum.sum()
    assert page.session.stats.received >= 70
    assert page.session.stats.lost == 0
    assert page.session.refused == 0, page.session.refusals
