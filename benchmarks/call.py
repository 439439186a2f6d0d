"""A whole call in virtual time: what everything around the codec costs.

    python benchmarks/call.py [--json]

One minute of speech from source to ear: sender, RTP, link, jitter buffer, playout, trace. Without a
codec (payloads of 80 zero bytes, over `voip-10`) it should take under 0.15 s. With Opus it stands
beside libopus alone: the same frames encoded and the same payloads decoded by bare ctypes calls, in
the same run; the goal is 1.25 times that. That is over `clear`, where nothing is lost and both do
the same work; over `voip-10` libopus also conceals, and sound is stretched.

The contestants take turns, and the best round of each counts: other work on the machine only ever
slows things down.
"""

import argparse
import gc
import json
import time
from collections.abc import Callable

import numpy as np
from opus import Bare

from labkit.codec.blank import Blank
from labkit.codec.opus import Opus
from labkit.core.source import Clip
from labkit.lab.call import Call
from labkit.lab.sources import speech
from labkit.words.format import Samples

ROUNDS = 9
SECONDS = 60
GOAL_SECONDS, GOAL_RATIO = 0.15, 1.25


def minute() -> Clip:
    """A minute of speech: the spoken sample, again and again."""
    samples = speech().samples
    times = -(-SECONDS * 48_000 // len(samples))
    return Clip(np.tile(samples, (times, 1))[: SECONDS * 48_000])


def took(work: Callable[[], object]) -> float:
    gc.collect()  # what the one before has left is not on this one's account
    start = time.process_time()
    work()
    return time.process_time() - start


def libopus_alone(frames: list[Samples], payloads: list[bytes]) -> None:
    bare = Bare()
    bare.encode(frames)
    bare.decode(payloads)


def measure() -> dict[str, float]:
    clip, codec = minute(), Opus(32_000)
    encoder = codec.encoder()
    frames = list(clip.samples.reshape(-1, 960, 1))
    payloads = [encoder.encode(frame) for frame in frames]
    blank, voice, bad, alone = [], [], [], []
    for _ in range(ROUNDS):
        blank.append(took(lambda: Call(clip, codec=Blank(), link="voip-10").simulate()))
        voice.append(took(lambda: Call(clip, codec=codec, link="clear").simulate()))
        bad.append(took(lambda: Call(clip, codec=codec, link="voip-10").simulate()))
        alone.append(took(lambda: libopus_alone(frames, payloads)))
    return {
        "without_codec_s": round(min(blank), 3),
        "faster_than_real_time": round(SECONDS / min(blank)),
        "with_opus_s": round(min(voice), 3),
        "with_opus_over_voip10_s": round(min(bad), 3),
        "libopus_alone_s": round(min(alone), 3),
        "ratio": round(min(voice) / min(alone), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    found = measure()
    if as_json:
        print(json.dumps(found))
        return
    print("| one minute of voice in virtual time | measured | goal |")
    print("| --- | ---: | ---: |")
    print(f"| without a codec | {found['without_codec_s']} s | {GOAL_SECONDS} s |")
    print(f"| times real time | {found['faster_than_real_time']} | |")
    print(f"| Opus both ways | {found['with_opus_s']} s | |")
    print(f"| Opus both ways over voip-10 | {found['with_opus_over_voip10_s']} s | |")
    print(f"| libopus alone, same frames | {found['libopus_alone_s']} s | |")
    print(f"| ratio | {found['ratio']} | {GOAL_RATIO} |")


if __name__ == "__main__":
    main()
