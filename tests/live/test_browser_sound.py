"""Sound in the browser, in a real JupyterLab: Chromium's microphone is a file, its speaker an ear.

One server, one page, one kernel: starting them is what takes the time.
"""

import asyncio

import pytest

from labkit.lab.sources import speech
from labkit.live.wav import WavWriter

pytest.importorskip("playwright.async_api", reason="playwright is not installed")
from jupyterpage import Kernel, chromium, jupyter_lab

pytestmark = [pytest.mark.live, pytest.mark.peer]

CELLS = (
    """\
import asyncio, time
import numpy as np
from labkit import BrowserMicrophone, BrowserSpeaker, Call, Dashboard, tone, wav
from labkit.live.clock import now
microphone, speaker = BrowserMicrophone(), BrowserSpeaker()
dashboard = Dashboard(Call(microphone, link="wifi-busy", seed=4))""",
    "microphone",
    "speaker",
    "dashboard",
)
HELPERS = """
begin = asyncio.get_running_loop().create_task
said = np.tile(wav("said.wav").samples[:, 0].astype(float), 2)

def alike(heard, size=24_000):
    "The best likeness of half a second of `heard` to the file, -1 to 1."
    many, total = 1 << 19, np.append(0, np.cumsum(said**2))
    power = total[size:] - total[:-size] + 1
    spectrum = np.fft.rfft(said, many)
    pieces = [heard[at : at + size].astype(float) for at in range(0, len(heard) - size, size)]
    found = [0.0]
    for piece in (piece for piece in pieces if piece.std() > 500):
        product = np.fft.irfft(spectrum * np.conj(np.fft.rfft(piece, many)), many)[: len(power)]
        found.append(float((product / np.sqrt(power * (piece**2).sum())).max()))
    return max(found)

async def listen(seconds):
    async with microphone.captured(48_000, 1) as blocks:
        heard = []
        async for block in blocks:
            heard.append(block)
            if sum(map(len, heard)) > seconds * 48_000:
                return np.concatenate(heard)[:, 0]

async def play(hertz, seconds):
    clip, due = tone(hertz, seconds), now()
    with speaker.playing() as playback:
        while (block := clip.read(960)) is not None:
            playback.write(block, now())
            due += 20_000_000
            await asyncio.sleep(max(0, due - now()) / 1e9)
"""
REFUSE = """() => {
    const devices = navigator.mediaDevices;
    devices.getUserMedia = () => Promise.reject(new DOMException("no", "NotAllowedError"));
    window.allow = () => { delete devices.getUserMedia; };
}"""


@pytest.mark.timeout(180)
def test_a_microphone_a_speaker_a_call_and_a_dashboard_in_the_browser(tmp_path, need):
    need("chromium")
    with WavWriter(tmp_path / "said.wav", 48_000, 1) as file:
        file.write(speech(3.3).samples)

    async def all_of_it():
        async with jupyter_lab(tmp_path) as lab, chromium(tmp_path / "said.wav") as page:
            lab.notebook("sound", *CELLS)
            troubles = []
            page.on("pageerror", lambda error: troubles.append(str(error)))
            await lab.open(page, "sound")
            await lab.run_all(page)
            async with lab.kernel() as kernel:
                await kernel.value("0", before=HELPERS)
                await refused_and_off(page, kernel)
                await heard(page, kernel)
                await played(page, kernel)
                await called(page, kernel)
            assert not troubles

    asyncio.run(all_of_it())


async def refused_and_off(page, kernel: Kernel):
    """Both are said in words, in the page and in Python."""
    microphone = page.get_by_role("group", name="microphone")
    assert "is off" in await kernel.value("str(raised(microphone.require))", before=RAISED)
    await page.evaluate(REFUSE)
    await page.get_by_role("button", name="Start microphone").click()
    await microphone.get_by_text("not allowed").wait_for()
    why = await kernel.until("microphone.failure and str(microphone.failure)")
    assert "was not allowed" in why
    assert "press Start again" in why
    await page.evaluate("() => allow()")


RAISED = """
def raised(function):
    try:
        function()
    except Exception as error:
        return error
"""


async def heard(page, kernel: Kernel):
    """What the microphone hears arrives in the kernel, and is what the file says."""
    await page.get_by_role("button", name="Start microphone").click()
    await kernel.until("microphone.state == 'on'")
    await page.get_by_role("button", name="Stop microphone").wait_for()
    await kernel.value("0", before="listening = begin(listen(2))")
    await kernel.until("listening.done()")
    assert await kernel.value("alike(listening.result())") > 0.95
    assert await kernel.value("[microphone.nonsense, microphone.received > 90]") == [0, True]


async def played(page, kernel: Kernel):
    """A tone that the kernel makes is what the page plays."""
    await page.get_by_role("button", name="Start speaker").click()
    await kernel.until("speaker.state == 'on'")
    await kernel.value("0", before="playing = begin(play(880, 2.5))")
    loud = "() => loudest()[1] > -50 && Math.abs(loudest()[0] - 880) < 12"
    await page.wait_for_function(loud, timeout=20_000)
    await kernel.until("playing.done()")
    assert await kernel.value("speaker.played.ring.heard_from > 0")
    assert await kernel.value("speaker.played.reported({'stream': -1}, 0)") is None


async def called(page, kernel: Kernel):
    """Microphone, bad network, speaker; meanwhile the page draws what goes on."""
    await kernel.value("0", before="talk = begin(dashboard.run(2.5, speaker=speaker))")
    await page.wait_for_function("() => loudest()[1] > -60", timeout=20_000)
    board = page.locator(".labkit-dash")
    await board.get_by_text("kbit/s").wait_for()
    drawn = int(await board.get_attribute("data-frames"))
    await kernel.until("talk.done()")
    assert int(await board.get_attribute("data-frames")) > drawn
    shown = await kernel.value("[[t['label'], t['value']] for t in dashboard.view.tiles]")
    assert {"loss", "buffer", "bitrate"} <= {label for label, _ in shown}
    for label, value in shown:  # the last that was sent is what stands there
        tile = board.locator(".tile", has_text=label).filter(has_text=value)
        await tile.first.wait_for()
    packets, sound = await kernel.value(
        "[len(talk.result().timeline), alike(talk.result().reference[:, 0])]"
    )
    assert packets == 125
    assert sound > 0.95
    assert await kernel.value("len(talk.result().audio) > 48_000")
    assert await kernel.value("dashboard.updates") > 5
