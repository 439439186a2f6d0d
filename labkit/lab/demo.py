"""The demonstration: one voice, one bad network, two receivers.

The naive receiver plays what has come when its turn is due and silence otherwise; the good one has
a jitter buffer, FEC and concealment. What they sound like, and the picture of what each did with
every packet, is the whole course in ten seconds.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from labkit.codec.opus import Opus
from labkit.core.naive import NaiveBuffer
from labkit.lab.call import Call
from labkit.lab.result import Result, in_ms
from labkit.lab.show import timelines
from labkit.lab.sources import Clip, converted, speech, tone, wav
from labkit.live.loop import run as run_live


def calls(link: str, source: str, bitrate: int, seed: int) -> tuple[Call, Call]:
    """The naive and the good call over the same network with the same dice."""
    known: dict[str, Callable[[], Clip]] = {"speech": speech, "tone": tone}
    clip = known.get(source, lambda: wav(source))()
    clip = converted(clip, 48_000, 1)
    naive = Call(
        clip,
        codec=Opus(bitrate),
        link=link,
        jitter_buffer=NaiveBuffer,
        conceal=False,
        seed=seed,
        name="naive receiver",
    )
    good = Call(
        clip, codec=Opus(bitrate, fec=True), link=link, seed=seed, name="jitter buffer, FEC, PLC"
    )
    return naive, good


def run(
    folder: Path,
    *,
    link: str = "voip-10",
    source: str = "speech",
    bitrate: int = 32_000,
    seed: int = 6,
    live: bool = False,
) -> int:
    """Run both calls, write two WAV files and a picture, print a table; 0."""
    naive, good = calls(link, source, bitrate, seed)
    if live:
        print(f"two calls of {naive.seconds:.0f} s, one after the other …", file=sys.stderr)
        results = [run_live(naive.run()), run_live(good.run())]
    else:
        results = [naive.simulate(), good.simulate()]
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "naive.wav", folder / "good.wav"]
    for result, file in zip(results, files, strict=True):
        result.save_wav(file)
    picture = timelines(results).save(folder / "timelines.png")
    print(f"{naive.profile.name}: {naive.profile.title}")
    print(table(results))
    print(f"\nhear {files[0]} and {files[1]}, look at {picture}")
    return 0


def table(results: list[Result]) -> str:
    """One line for each call: loss, delay, intelligibility, opinion."""
    columns = (26, 9, 9, 10, 9, 7, 6, 6)
    rows = [
        ("", "lost by", "not", "one-way", "mouth", "", "", ""),
        ("receiver", "network", "heard", "delay", "to ear", "STOI", "R", "MOS"),
    ]
    rows += [
        (
            r.name,
            f"{r.timeline.lost:.1%}",
            f"{r.unheard:.1%}",
            in_ms(r.network_delay_ms),
            in_ms(r.delay_ms),
            f"{r.stoi:.2f}",
            f"{r.r:.0f}",
            f"{r.mos:.2f}",
        )
        for r in results
    ]
    return "\n".join(
        f"{row[0]:<{columns[0]}}"
        + "".join(f"{cell:>{width}}" for cell, width in zip(row[1:], columns[1:], strict=True))
        for row in rows
    )
