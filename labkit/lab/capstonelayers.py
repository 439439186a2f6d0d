"""What stands around the sessions of the capstone's call (week 12).

    RtpSession ─ header ─ Srtp ─ Outlet ─ Mallory ══╗
                                                    UDP
    RtpSession ─ header ─ Reporting ─ Srtp ─ Guarded ══╝

Each looks like a session to whoever is above, and holds one part that may be a student's own:

- `Outlet`: a radio that sleeps now and then; what wants to leave meanwhile waits in a bounded queue
- `Guarded`: opens packets of sound by RFC 3711 in Python, and refuses what has been here (section
  3.3.2). Reports, and all that is sent, are libsrtp's affair
- `Reporting`: counts what comes, and writes the block of the receiver report (RFC 3550 section 6.4)
- `OwnVoice`: a voice whose frames are cut and numbered by another packetizer

and `Mallory`, who is nobody's part: she copies packets and changes some, and sends both on. This
module knows no exercise; what it holds may be the kit's.
"""

import hmac
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from labkit.core.replaywindow import ReplayWindow, Verdict
from labkit.core.session import Refused
from labkit.core.srtpkeys import Label, derive, first_block, keystream
from labkit.endpoints.voice import Voice
from labkit.lab.capstoneparts import Stumbled
from labkit.wire import rtcp
from labkit.wire.sdes import MasterKey
from labkit.words.errors import AuthenticationError
from labkit.words.format import Samples
from labkit.words.machine import Address, Datagram, Event, earliest
from labkit.words.packet import Packet
from labkit.words.units import ms, seconds

HEADER: Final = 12
TAG: Final = 10
NAP, EVERY = ms(110), seconds(2)
"""How long the radio sleeps, and how often."""
MOST_SEEN: Final = 1 << 16
"""Packets that are remembered to find out who was fooled."""
RECEIVER_REPORT: Final = 201


class Around:
    """Looks like the session inside."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # not made yet
            raise AttributeError(name)
        return getattr(self.inner, name)


# At the mouth ---------------------------------------------------------------------------------


class OwnVoice(Voice):
    """Encodes what `make(limit, first_seq, first_timestamp)` cuts and numbers.

    The packetizer gets the sound in two pieces that are no frames, and gives packets of whole
    frames of PCM, big end first; the codec then encodes what is in each.
    """

    def __init__(self, codec: Any, source: Any, make: Callable[..., Any], rng: Any) -> None:
        super().__init__(codec, source, rng=rng)
        limit = 2 * codec.frame_samples * codec.channels
        self._own = make(limit, self._packetizer.next_seq, self.first_timestamp)

    def _make(self, samples: Samples) -> list[Packet]:
        packets = [*self._own.push(samples[:441]), *self._own.push(samples[441:])]
        size = 2 * samples.size
        if len(packets) != 1 or any(
            type(p) is not Packet or len(p.payload) != size for p in packets
        ):
            raise Stumbled("packetizer", f"a frame is one packet of {size} bytes here")
        return [self._encoded(packet, samples.shape[1]) for packet in packets]

    def _encoded(self, packet: Packet, channels: int) -> Packet:
        pcm = np.frombuffer(packet.payload, ">i2").astype(np.int16).reshape(-1, channels)
        payload = self._encoder.encode(pcm)
        kind = self.codec.format.payload_type
        return packet._replace(payload=payload, payload_type=kind, ssrc=self.ssrc)


class Outlet(Around):
    """What leaves while the radio sleeps waits in a queue; when that is full, it says what goes."""

    def __init__(self, inner: Any, queue: Any) -> None:
        super().__init__(inner)
        self._queue = queue
        self.dropped = 0
        self._waiting: dict[int, Datagram] = {}  # what waits, by the number that is in the queue
        self._count = 0
        self._now = 0
        self._began: int | None = None

    def _wakes(self) -> int | None:
        """While it sleeps: until when."""
        if self._began is None:
            return None
        turn, since = divmod(self._now - self._began, EVERY)
        return self._began + turn * EVERY + NAP if turn and since < NAP else None

    def send(self, packet: Packet, now: int) -> None:
        """A packet of sound."""
        self._now = now
        self._began = now if self._began is None else self._began
        self.inner.send(packet, now)

    def tick(self, now: int) -> None:
        """Perhaps it wakes."""
        self._now = now
        self.inner.tick(now)

    def deadline(self) -> int | None:
        """When it wakes, if anything waits for that."""
        wakes = self._wakes() if len(self._queue) else None
        return earliest(self.inner.deadline(), wakes)

    def _put(self, datagram: Datagram) -> None:
        self._count += 1
        self._waiting[self._count] = datagram
        for number in self._queue.put(self._count, self._now):
            self._waiting_as(number)
            self.dropped += 1

    def _waiting_as(self, number: Any) -> Datagram:
        if type(number) is not int or number not in self._waiting:
            raise Stumbled("queue", "it gave what does not wait in it")
        return self._waiting.pop(number)

    def transmits(self) -> Sequence[Datagram]:
        """What leaves now."""
        out: list[Datagram] = []
        asleep = self._wakes() is not None
        while not asleep and len(self._queue):
            out.append(self._waiting_as(self._queue.get()))
        for datagram in self.inner.transmits():
            if asleep and not rtcp.is_rtcp(datagram.data):
                self._put(datagram)
            else:
                out.append(datagram)
        return out


class Mallory(Around):
    """Of every twentieth packet of sound she sends an older one again, and one that she changed."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.copied = self.changed = 0
        self._kept: list[Datagram] = []

    def transmits(self) -> Sequence[Datagram]:
        """What was to leave, and hers."""
        out: list[Datagram] = []
        for datagram in self.inner.transmits():
            out.append(datagram)
            if rtcp.is_rtcp(datagram.data):
                continue
            self._kept.append(datagram)
            if len(self._kept) == 20:
                out += [self._kept[9], self._changed(datagram)]
                self.copied, self.changed = self.copied + 1, self.changed + 1
                self._kept = []
        return out

    @staticmethod
    def _changed(datagram: Datagram) -> Datagram:
        """Its number is ahead, so that it would be played first, and its sound is noise."""
        data = bytearray(datagram.data)
        data[2] ^= 1
        data[HEADER:-TAG] = bytes(255 - byte for byte in data[HEADER:-TAG])
        return Datagram(bytes(data), datagram.destination)


# At the ear -----------------------------------------------------------------------------------


class KitsWindow:
    """The kit's replay window behind the face of the exercise."""

    def __init__(self, size: int) -> None:
        self._window = ReplayWindow(size)

    def index(self, seq: int) -> int:
        """The packet's index: RFC 3711 section 3.3.1."""
        return self._window.estimate(seq)

    def is_new(self, index: int) -> bool:
        """Whether it may be accepted."""
        return self._window.judge(index) is Verdict.NEW

    def accept(self, index: int) -> None:
        """Remember it."""
        self._window.accept(index)


def unprotect(key: bytes, salt: bytes, index: int, packet: bytes) -> bytes | None:
    """The RTP packet in a packet of SRTP (AES_CM_128_HMAC_SHA1_80), or None if it is not authentic.

    RFC 3711 section 3.3, steps 3 to 6. The header has no CSRCs and no extension.
    """
    body, tag = packet[:-TAG], packet[-TAG:]
    authenticates = derive(key, salt, Label.RTP_AUTHENTICATION, 20)
    mac = hmac.digest(authenticates, body + (index >> 16).to_bytes(4, "big"), "sha1")
    if not hmac.compare_digest(mac[:TAG], tag):
        return None
    begin = first_block(derive(key, salt, Label.RTP_SALT, 14), int.from_bytes(body[8:12]), index)
    stream = keystream(derive(key, salt, Label.RTP_ENCRYPTION, 16), begin, len(body) - HEADER)
    sound = bytes(a ^ b for a, b in zip(body[HEADER:], stream, strict=True))
    return body[:HEADER] + sound


class Guarded(Around):
    """An `Srtp` session whose packets of sound are opened here, by these two parts."""

    def __init__(self, inner: Any, key: MasterKey, opens: Callable[..., Any], window: Any) -> None:
        super().__init__(inner)
        self.replayed = self.forged = self.fooled = 0
        """Refused for this, refused for that, and believed though it had been here."""
        self._key = key
        self._opens = opens
        self._window = window
        self._seen: set[bytes] = set()
        self._events: list[Event] = []

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Open a packet of sound, if it is new and authentic."""
        if rtcp.is_rtcp(data) or len(data) < HEADER + TAG:
            self.inner.receive_datagram(data, source, now)
            return
        index = self._window.index(int.from_bytes(data[2:4], "big"))
        if type(index) is not int or not 0 <= index < 1 << 48:
            raise Stumbled("window", f"index gave {index!r:.40}")
        if not self._window.is_new(index):
            self.replayed += 1
            self._refuse("replayed")
            return
        plain = self._opens(self._key.key, self._key.salt, index, data)
        if plain is None:
            self.forged += 1
            self._refuse("not authentic")
            return
        if type(plain) is not bytes:
            raise Stumbled("srtp", f"unprotect gave {plain!r:.40}")
        self._window.accept(index)
        self.fooled += data in self._seen
        if len(self._seen) < MOST_SEEN:
            self._seen.add(data)
        self.inner.inner.receive_datagram(plain, source, now)

    def _refuse(self, why: str) -> None:
        self._events.append(Refused(AuthenticationError(f"a packet was {why}")))

    def events(self) -> Sequence[Event]:
        """What happened, here and inside."""
        events, self._events = [*self._events, *self.inner.events()], []
        return events


class Reporting(Around):
    """Counts packets by `reception`, and writes blocks of reports by `block`; None is as it was."""

    def __init__(self, inner: Any, reception: Any, block: Callable[..., Any] | None) -> None:
        super().__init__(inner)
        self._reception = reception
        self._block = block

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Count a packet of sound."""
        if self._reception is not None and not rtcp.is_rtcp(data) and len(data) >= HEADER:
            seq, timestamp = struct.unpack("!HI", data[2:8])
            self._reception.add(seq, timestamp, now)
        self.inner.receive_datagram(data, source, now)

    def transmits(self) -> Sequence[Datagram]:
        """What leaves, with the report written anew."""
        return [self._told(datagram) for datagram in self.inner.transmits()]

    def _told(self, datagram: Datagram) -> Datagram:
        data = datagram.data
        if data[1] != RECEIVER_REPORT or not data[0] & 31:
            return datagram
        ssrc, losses, highest, jitter, lsr, dlsr = struct.unpack("!6I", data[8:32])
        fraction, lost = losses >> 24, (losses & 0xFFFFFF) - ((losses & 0x800000) << 1)
        if self._reception is not None:
            fraction, lost, highest, jitter = self._reception.report()
        values = ssrc, fraction, lost, highest, jitter, lsr, dlsr
        write = rtcp_block if self._block is None else self._block
        try:
            block = write(*values)
        except (struct.error, OverflowError, TypeError) as error:
            raise Stumbled("reception", f"report gave {values[1:5]}: {error}") from error
        if type(block) is not bytes or len(block) != 24:
            raise Stumbled("block", f"report_block gave {block!r:.40}")
        return Datagram(data[:8] + block + data[32:], datagram.destination)


def rtcp_block(
    ssrc: int, fraction: int, lost: int, highest: int, jitter: int, lsr: int, dlsr: int
) -> bytes:
    """A report block: RFC 3550 section 6.4.1."""
    head = struct.pack("!IB", ssrc, fraction) + lost.to_bytes(3, "big", signed=True)
    return head + struct.pack("!4I", highest, jitter, lsr, dlsr)
