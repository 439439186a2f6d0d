"""Week 9: the way through two NATs, by STUN (RFC 8489) and checks (RFC 5128, RFC 8445).

The captures show each datagram wherever it passes: inside, where addresses begin with 192.168., and
outside, if a NAT has let it through.
"""

from typing import Final

from labkit.lab.answers.registry import Answer, answers
from labkit.lab.seen import Seen
from labkit.lab.traffic import Traffic
from labkit.wire import stun
from labkit.wire.stun import Attribute, Class, Message
from labkit.words.errors import BadInput, WireError
from labkit.words.units import to_ms

INSIDE: Final = "192.168."
XOR_PORT: Final = 0x2112


def _stun(traffic: Traffic) -> list[tuple[Seen, Message]]:
    """Every STUN message, with its packet."""
    found = []
    for packet in traffic:
        if packet.found.get("STUN") is not None:
            at = packet.found["STUN"].parts[0].start // 8
            try:
                found.append((packet, stun.unpack(packet.data[at:])))
            except WireError:
                continue
    return found


def _checks(traffic: Traffic) -> list[tuple[Seen, bytes]]:
    """Where one peer asks the other, with the transaction: the question is signed, as in ICE."""
    return [
        (packet, message.transaction)
        for packet, message in _stun(traffic)
        if message.kind is Class.REQUEST
        and packet.found["STUN"].get("MESSAGE-INTEGRITY") is not None
    ]


def _learned(traffic: Traffic) -> int:
    """The port that the STUN server tells the first who asks."""
    first = _stun(traffic)[0][1].transaction
    for _, message in _stun(traffic):
        if message.transaction == first and message.kind is Class.SUCCESS:
            mapped = message.get(Attribute.XOR_MAPPED_ADDRESS)
            return int(mapped[1])
    raise BadInput(f"{traffic!r} has no answer of a STUN server", "a capture of hole punching")


@answers
def mapped_port(traffic: Traffic) -> Answer:
    """The port at which the STUN server sees alice."""
    port = _learned(traffic)
    return Answer(
        port,
        (
            (_stun(traffic)[0][0].source[1], "That is hers, inside."),
            (port ^ XOR_PORT, "So it stands in the packet: XORed with half of the cookie."),
        ),
    )


@answers
def checks_refused(traffic: Traffic) -> Answer:
    """Checks that came to a NAT and were not let in.

    Each check is seen where it leaves, outside, and inside if it was let in: that last one goes to
    an address inside.
    """
    checks = [packet for packet, _ in _checks(traffic)]
    came = sum(
        not (p.source[0].startswith(INSIDE) or p.destination[0].startswith(INSIDE)) for p in checks
    )
    inside = sum(p.destination[0].startswith(INSIDE) for p in checks)
    return Answer(
        came - inside,
        (
            (came, "Those are all that came to a NAT; look which of them go on inside."),
            (inside, "Those were let in."),
            (len(checks), "A check is seen two or three times: before and behind a NAT."),
        ),
    )


@answers
def punched_after(traffic: Traffic) -> Answer:
    """Milliseconds from the first check to the first answer that comes to who asked."""
    checks = _checks(traffic)
    first = checks[0][0].now
    asked = {transaction for _, transaction in checks}
    heard = next(
        packet
        for packet, message in _stun(traffic)
        if message.transaction in asked
        and message.kind is Class.SUCCESS
        and packet.destination[0].startswith(INSIDE)
    )
    return Answer(
        to_ms(heard.now - first),
        ((to_ms(heard.now - traffic.start), "That is since the first packet of all."),),
    )


@answers
def ports_used(traffic: Traffic) -> Answer:
    """Ports that alice's NAT has lent her."""
    own = next(p.source for p in traffic if p.source[0].startswith(INSIDE))
    sent = {(p.now, p.data[28:]) for p in traffic if p.source == own}
    outside = {
        p.source
        for p in traffic
        if not p.source[0].startswith(INSIDE)
        and any(p.data[28:] == data and p.now > now for now, data in sent)
        and not p.destination[0].startswith(INSIDE)
    }
    remotes = len({p.destination for p in traffic if p.source == own})
    return Answer(len({port for _, port in outside}), ((remotes + 1, "Her own port is not lent."),))


@answers
def port_as_learned(traffic: Traffic) -> Answer:
    """Whether alice's checks come from the port that the STUN server has seen."""
    own = next(p.source for p in traffic if p.source[0].startswith(INSIDE))
    hers = {transaction for packet, transaction in _checks(traffic) if packet.source == own}
    ports = {
        packet.source[1]
        for packet, transaction in _checks(traffic)
        if transaction in hers and not packet.source[0].startswith(INSIDE)
    }
    return Answer("yes" if ports == {_learned(traffic)} else "no")
