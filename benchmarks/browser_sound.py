"""How late is sound through the browser? In JupyterLab and headless Chromium, on this machine.

    mouth to kernel   a message leaves the page -> its samples are in the ring. Add the batch: of
                      two frames the first sample is 40 ms old when they leave, of five 100 ms.
    kernel to ear     a sample is written -> the page's audio thread plays it. With the cushion,
                      which is what `BrowserSpeaker(cushion=...)` says; and the card, as the browser
                      tells it.

Both ends read the same clock, since they are on one machine. Printed: median and 95th percentile.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from jupyterpage import Kernel, chromium, jupyter_lab

from labkit.resources import speech_path

CELL = """\
import asyncio, bisect, time
import numpy as np
from labkit import BrowserMicrophone, BrowserSpeaker, tone
from labkit.live.clock import now
microphones = {batch: BrowserMicrophone(batch=batch) for batch in (2, 5)}
speaker = BrowserSpeaker(cushion=CUSHION)
delays = {batch: [] for batch in microphones}
def watched(batch, microphone):
    take = microphone._take
    def timed(content, buffers, instant):
        take(content, buffers, instant)
        delays[batch].append(time.time() * 1e3 - content["at"])
    microphone._take = timed
for pair in microphones.items():
    watched(*pair)
written, ears, cards = [], [], []
async def play(seconds):
    clip, due = tone(440, seconds), now()
    with speaker.playing() as playback:
        reported = playback.reported
        def noted(content, instant):
            reported(content, instant)
            place = bisect.bisect([samples for samples, _ in written], content["played"])
            if 0 < place < len(written):
                # The sample that plays now was in the block that brought the ring beyond it.
                ears.append(content["at"] - written[place][1])
                cards.append(content["output"] * 1e3)
        playback.reported = noted
        while (block := clip.read(960)) is not None:
            playback.write(block, now())
            written.append((playback.ring._written, time.time() * 1e3))
            due += 20_000_000
            await asyncio.sleep(max(0, due - now()) / 1e9)
    return playback.ring.underruns
def figures(values):
    return [len(values), *np.percentile(values, [50, 95]).tolist()]
"""


async def measure(seconds: float, cushion: float) -> None:
    """One server, one page: the microphone with each batch, then the speaker."""
    with tempfile.TemporaryDirectory() as home:
        async with jupyter_lab(Path(home)) as lab, chromium(speech_path()) as page:
            show = "display(*microphones.values(), speaker)"
            lab.notebook("latency", CELL.replace("CUSHION", str(cushion)), show)
            await lab.open(page, "latency")
            await lab.run_all(page)
            async with lab.kernel() as kernel:
                await microphones(kernel, seconds)
                await speakers(kernel, seconds)


async def microphones(kernel: Kernel, seconds: float) -> None:
    """Messages up, of two and of five frames."""
    for batch in (2, 5):
        one = f"microphones[{batch}]"
        await kernel.value("0", before=f"{one}.start()")
        await kernel.until(f"{one}.state == 'on' and {one}.received > 50", 60)
        await kernel.value("0", before=f"delays[{batch}].clear(); {one}.lost = 0")
        await asyncio.sleep(seconds)
        count, median, late = await kernel.value(f"figures(delays[{batch}])")
        lost = await kernel.value(f"{one}.lost")
        print(f"mouth to kernel, {batch} frames: {median:5.1f} ms, 95 %: {late:5.1f} ms "
              f"({count} messages, {lost} frames lost)")  # fmt: skip
        await kernel.value("0", before=f"{one}.stop()")


async def speakers(kernel: Kernel, seconds: float) -> None:
    """Messages down, the cushion included."""
    await kernel.value("0", before="speaker.start()")
    await kernel.until("speaker.state == 'on'", 60)
    before = f"playing = asyncio.get_running_loop().create_task(play({seconds}))"
    await kernel.value("0", before=before)
    await kernel.until("playing.done()", seconds + 60)
    count, median, late = await kernel.value("figures(ears)")
    card = await kernel.value("float(np.median(cards))")
    gaps = await kernel.value("playing.result()")
    print(f"kernel to ear:  {median:5.1f} ms, 95 %: {late:5.1f} ms "
          f"({count} reports, {gaps} gaps); the card {card:.0f} ms more")  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--cushion", type=float, default=0.12)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; cushion {options.cushion:g} s")
    asyncio.run(measure(options.seconds, options.cushion))


if __name__ == "__main__":
    main()
