"""A bottleneck that honours DSCP, stepped by hand: 8 kbit/s is a byte a millisecond."""

from labkit.live.link.priority import PriorityLine
from labkit.wire import ip
from labkit.words.linkspec import LinkSpec, Step
from labkit.words.units import ms

EF = 46 << 2
SPEC = LinkSpec(rate=8000, limit=3)


def packet(name, tos=0):
    """100 bytes."""
    return ip.udp(name.encode().ljust(72), ("10.9.0.1", 1), ("10.9.0.2", 2), tos=tos)


def drain(line, now):
    """(when, name) of all that has left by now."""
    left = []
    while (one := line.pop(now)) is not None:
        left.append((one[0], one[1][28:].strip().decode()))
    return left


def test_voice_overtakes_what_waits_but_not_what_is_on_the_line():
    line = PriorityLine(SPEC)
    for name, tos in (("a", 0), ("b", 0), ("voice", EF), ("c", 0)):
        assert line.push(packet(name, tos), 0)
    assert line.deadline() == ms(100)
    assert drain(line, ms(400)) == [
        (ms(100), "a"),
        (ms(200), "voice"),
        (ms(300), "b"),
        (ms(400), "c"),
    ]
    assert line.deadline() is None


def test_nothing_leaves_before_its_time():
    line = PriorityLine(SPEC)
    line.push(packet("a"), ms(7))
    assert drain(line, ms(107) - 1) == []
    assert drain(line, ms(107)) == [(ms(107), "a")]


def test_a_full_queue_of_others_has_room_for_voice():
    line = PriorityLine(SPEC)
    taken = [line.push(packet("x"), 0) for _ in range(5)]
    assert taken == [True, True, True, True, False]  # one on the line, three wait
    assert line.push(packet("voice", EF), 0)
    assert line.dropped == 1


def test_overhead_and_steps_count():
    later = LinkSpec(rate=16000, packet_overhead=100)
    line = PriorityLine(LinkSpec(rate=8000, steps=(Step(ms(150), later),)), start=ms(50))
    for name in "abc":
        line.push(packet(name), ms(50))
    # a and b begin in the first 150 ms; c takes 200 bytes at two bytes a millisecond.
    assert drain(line, ms(1000)) == [(ms(150), "a"), (ms(250), "b"), (ms(350), "c")]
