"""How long our own computing takes: a codec that notes it, and when packets leave.

    watch = Stopwatch(codec)                 # a codec like any other
    sender = watch.sender(Sender(session, Voice(watch, source)))
    receiver = watch.receiver(Receiver(session, watch))

What is noted goes into the traces of both ends, between what they note themselves:

    ENCODED  a frame was encoded just now; value: nanoseconds it took
    LEFT     all packets noted so far were handed to the socket
    DECODED  a payload was decoded just now; value: nanoseconds it took

Machines read no clock, so they cannot know: somebody who may read one stands around them.
`labkit.core.latency` makes a budget of it.

This module changes nothing that is sent or heard.
"""

from collections.abc import Sequence
from typing import Any

from labkit.codec.face import Codec, Decoder, Encoder
from labkit.endpoints.receiver import Receiver
from labkit.endpoints.sender import Sender
from labkit.live.clock import now
from labkit.words.format import Samples
from labkit.words.trace import Did, Trace


class Stopwatch:
    """A codec whose encoders and decoders note how long they take, once somebody has a trace."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.sent: Trace | None = None
        self.received: Trace | None = None

    def __getattr__(self, name: str) -> Any:
        """Everything else is the codec's."""
        return getattr(self.codec, name)

    def encoder(self) -> Encoder:
        """A fresh encoder, and a watch."""
        encoder = self.codec.encoder()
        encode = encoder.encode

        def timed(samples: Samples) -> bytes:
            begun = now()
            payload = encode(samples)
            self._note(self.sent, Did.ENCODED, begun)
            return payload

        # Not another object around it: whoever changes its bitrate must change this one's.
        encoder.encode = timed  # type: ignore[method-assign]
        return encoder

    def decoder(self) -> Decoder:
        """A fresh decoder, and a watch."""
        decoder = self.codec.decoder()
        decode = decoder.decode

        def timed(payload: bytes) -> Samples:
            begun = now()
            samples = decode(payload)
            self._note(self.received, Did.DECODED, begun)
            return samples

        decoder.decode = timed  # type: ignore[method-assign]
        return decoder

    @staticmethod
    def _note(trace: Trace | None, did: Did, begun: int) -> None:
        if trace is not None:
            ended = now()
            trace.add((ended, did, -1, ended - begun))

    def sender(self, sender: Sender) -> Sender:
        """The same sender; its trace now also says when frames were encoded and packets left."""
        assert sender.voice is not None
        trace = self.sent = sender.voice.trace
        transmits = sender.transmits

        def noted() -> Sequence[Any]:
            out = transmits()
            if out:
                trace.add((now(), Did.LEFT, -1, 0))
            return out

        sender.transmits = noted  # type: ignore[method-assign]
        return sender

    def receiver(self, receiver: Receiver) -> Receiver:
        """The same receiver; its trace now also says when payloads were decoded."""
        self.received = receiver.trace
        return receiver
