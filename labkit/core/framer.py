"""Sound in blocks of any size becomes frames of one size (week 1).

A sound card gives what it likes: 441 samples, 1024, or 7. A codec takes exactly one frame, 960
samples for 20 ms at 48 kHz. Between the two stands a framer, which keeps what does not fill a
frame yet and counts media time: the timestamp of a frame is the number of samples before it,
on the 32-bit circle of RFC 3550 section 5.1.

Every sample is copied once, into the frame that will carry it, so a block may be overwritten as
soon as `push` returns: audio callbacks do that.

This module knows no clock and no codec. Its ticks are samples; a codec whose RTP clock runs at
another rate counts its own.
"""

from typing import NamedTuple

import numpy as np

from labkit.words.errors import LocalProtocolError
from labkit.words.format import Samples
from labkit.words.seqnum import add32


class Frame(NamedTuple):
    """One frame of sound and when it begins."""

    timestamp: int
    """Media time of the first sample, 32 bits, in samples."""
    samples: Samples
    """Shape (frame_samples, channels); nobody else writes to it."""


class Framer:
    """Cuts a stream of samples into frames of `frame_samples`.

    However the stream is cut into blocks, the frames are the same.
    """

    def __init__(self, frame_samples: int, channels: int, first_timestamp: int = 0) -> None:
        self.frame_samples = frame_samples
        self.channels = channels
        self._timestamp = first_timestamp
        self._partial = self._empty()
        self._filled = 0  # samples of the frame in hand that are there

    @property
    def waiting(self) -> int:
        """Samples that wait for the rest of their frame."""
        return self._filled

    def push(self, samples: Samples) -> list[Frame]:
        """Take a block of shape (any number, channels); give the frames that are now complete."""
        if samples.ndim != 2 or samples.shape[1] != self.channels:
            raise LocalProtocolError(
                f"sound of shape {samples.shape}; this framer takes (samples, {self.channels})"
            )
        if self._filled == 0 and len(samples) == self.frame_samples:  # as a file is read
            self._partial[:] = samples
            return [self._complete()]
        frames: list[Frame] = []
        start = 0
        while start < len(samples):
            taken = min(self.frame_samples - self._filled, len(samples) - start)
            self._partial[self._filled : self._filled + taken] = samples[start : start + taken]
            self._filled += taken
            start += taken
            if self._filled == self.frame_samples:
                frames.append(self._complete())
        return frames

    def flush(self) -> list[Frame]:
        """The end of the stream: the last frame, filled up with silence, or no frame at all."""
        if self._filled == 0:
            return []
        self._partial[self._filled :] = 0
        return [self._complete()]

    def _complete(self) -> Frame:
        """The frame in hand; the next one gets memory of its own."""
        frame = Frame(self._timestamp, self._partial)
        self._timestamp = add32(self._timestamp, self.frame_samples)
        self._partial = self._empty()
        self._filled = 0
        return frame

    def _empty(self) -> Samples:
        return np.empty((self.frame_samples, self.channels), np.int16)
