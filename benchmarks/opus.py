"""Opus: what our codec costs beside the bare calls of libopus, in the same run.

    python benchmarks/opus.py [--json]

The spoken sample in frames of 20 ms at 32 kbit/s and complexity 10. "Bare" is ctypes with argument
types and buffers made beforehand that throws the result away: nothing in Python can be cheaper.
Ours checks the frame, and hands over bytes and arrays that are the caller's to keep. opuslib's own
classes stand beside them. The goal is 1.1 times bare, for encoding and decoding alike.
"""

import argparse
import ctypes
import json
import statistics
import time
import wave
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from labkit.codec.libopus import libopus_path, libopus_version
from labkit.codec.opus import Opus
from labkit.resources import speech_path
from labkit.words.format import Samples

Input = TypeVar("Input", Samples, bytes)

ROUNDS = 7
CODEC = Opus(32_000)
FRAME = CODEC.frame_samples
GOAL = 1.1


def speech_frames() -> list[Samples]:
    with wave.open(str(speech_path())) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    whole = len(sound) // FRAME * FRAME
    return list(sound[:whole].reshape(-1, FRAME, 1))


def ours_encode(frames: list[Samples]) -> None:
    encode = CODEC.encoder().encode
    for frame in frames:
        encode(frame)


def ours_decode(payloads: list[bytes]) -> None:
    decode = CODEC.decoder().decode
    for payload in payloads:
        decode(payload)


class Bare:
    """libopus by ctypes and nothing else."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(libopus_path())
        self.buffer = ctypes.create_string_buffer(5760 * 2)
        pointer, number = ctypes.c_void_p, ctypes.c_int
        self.library.opus_encode.argtypes = (pointer, pointer, number, pointer, number)
        self.library.opus_decode.argtypes = (
            pointer,
            ctypes.c_char_p,
            number,
            pointer,
            number,
            number,
        )
        self.library.opus_encoder_ctl.argtypes = (pointer, number)

    def encode(self, frames: list[Samples]) -> None:
        """Every frame, from where it lies."""
        state = ctypes.create_string_buffer(self.library.opus_encoder_get_size(1))
        self.library.opus_encoder_init(state, 48_000, 1, 2048)
        for request, value in ((4002, 32_000), (4010, 10)):
            self.library.opus_encoder_ctl(state, request, value)
        places = [frame.ctypes.data for frame in frames]
        encode, buffer = self.library.opus_encode, self.buffer
        for place in places:
            encode(state, place, FRAME, buffer, 1200)

    def decode(self, payloads: list[bytes]) -> None:
        """Every payload, each over the sound of the one before."""
        state = ctypes.create_string_buffer(self.library.opus_decoder_get_size(1))
        self.library.opus_decoder_init(state, 48_000, 1)
        decode, buffer = self.library.opus_decode, self.buffer
        for payload in payloads:
            decode(state, payload, len(payload), buffer, 5760, 0)


def opuslib_encode(frames: list[Samples]) -> None:
    import opuslib

    encoder = opuslib.Encoder(48_000, 1, "voip")
    encoder.bitrate, encoder.complexity = 32_000, 10
    for frame in frames:
        encoder.encode(frame.tobytes(), FRAME)


def opuslib_decode(payloads: list[bytes]) -> None:
    import opuslib

    decoder = opuslib.Decoder(48_000, 1)
    for payload in payloads:
        decoder.decode(payload, FRAME)


def microseconds(
    work: list[Input], contestants: Mapping[str, Callable[[list[Input]], None]]
) -> dict[str, list[float]]:
    """Per call, in each round. Rounds take turns, so that a slow moment meets everybody."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, contestant in contestants.items():
            start = time.perf_counter()
            contestant(work)
            found[name].append((time.perf_counter() - start) / len(work) * 1e6)
    return found


def compare(found: dict[str, list[float]]) -> dict[str, float]:
    """Medians, and the median of the rounds' ratios to bare."""
    result = {f"{name}_us": round(statistics.median(times), 2) for name, times in found.items()}
    for name in ("ours", "opuslib"):
        ratios = [a / b for a, b in zip(found[name], found["bare"], strict=True)]
        result[f"{name}_ratio"] = round(statistics.median(ratios), 3)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json

    frames, bare, encoder = speech_frames(), Bare(), CODEC.encoder()
    payloads = [encoder.encode(frame) for frame in frames]
    encoding = {"ours": ours_encode, "bare": bare.encode, "opuslib": opuslib_encode}
    decoding = {"ours": ours_decode, "bare": bare.decode, "opuslib": opuslib_decode}
    result = {
        "libopus": libopus_version(),
        "encode": compare(microseconds(frames, encoding)),
        "decode": compare(microseconds(payloads, decoding)),
        "goal": GOAL,
    }
    print(json.dumps(result) if as_json else table(result))


def table(result: dict[str, Any]) -> str:
    lines = [
        f"| {result['libopus']}, µs a frame of 20 ms | bare | ours | ratio | opuslib | ratio |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for work in ("encode", "decode"):
        row = result[work]
        columns = ("bare_us", "ours_us", "ours_ratio", "opuslib_us", "opuslib_ratio")
        lines.append(f"| {work} | " + " | ".join(str(row[c]) for c in columns) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
