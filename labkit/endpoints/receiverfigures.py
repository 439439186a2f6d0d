"""What a receiver knows of its call, as the figures that every exporter shows.

The session counts packets, the jitter buffer knows who came too late and what waits, the receiver
counts what was heard: here they are put side by side. Of a jitter buffer that is not ours only its
length is asked: what else it says of itself, and in which units, is its own affair.

This module computes nothing, and changes nothing.
"""

from labkit.core.figures import ReceiverFigures
from labkit.core.jitterbuffer import JitterBuffer
from labkit.endpoints.receiver import Receiver


def receiver_figures(receiver: Receiver, now: int, *, underruns: int = 0) -> ReceiverFigures:
    """The figures of `receiver` at this instant; `underruns` are those of its sound card's ring.

    A receiver that looked for its sender again goes on counting where it was. Where there is a
    sound card, `receiver.delays.card` says how long sound takes through it.
    """
    stats = receiver.earlier.followed_by(receiver.session.stats)
    buffer = receiver.buffer
    ours = buffer if isinstance(buffer, JitterBuffer) else None
    delays = receiver.delays
    return ReceiverFigures(
        received=stats.received,
        expected=stats.expected,
        lost=max(stats.lost, 0),  # less than none: the first packet came after its successor
        duplicates=stats.duplicates,
        reordered=stats.reordered,
        late=ours.late if ours is not None else 0,
        played=receiver.played,
        concealed=receiver.concealed,
        held=receiver.held,
        underruns=underruns,
        refused=receiver.refused + receiver.undecodable,
        received_octets=receiver.received_rate.bytes,
        jitter=stats.jitter,
        depth=ours.depth(now) if ours is not None else receiver.waiting,
        target=ours.target(now) if ours is not None else None,
        bitrate=round(receiver.received_rate.rate(now)),
        round_trip=stats.round_trip,
        mouth_to_ear=delays.latest,
        mouth_to_ear_by=delays.basis,
        mouth_to_ears=delays.mouth_to_ear.snapshot(),
        interarrivals=delays.interarrival.snapshot(),
    )
