"""A decoder of one's own in a call over TCP: the same call as with the kit's."""

import pytest

from labkit import Call, link, speech
from labkit.lab.decoders import OneReadOneFrame
from labkit.wire.framing import FrameDecoder
from labkit.words.errors import Malformed

FAR = link("far", delay="25ms")


def call(**options):
    return Call(speech(3.3), link=FAR, transport="tcp", seed=7, **options).simulate()


class Feeds:
    """In the form of the exercises, around a decoder that is right."""

    def __init__(self):
        self.inner = FrameDecoder()

    def feed(self, data):
        return [(kind, *packet[:3]) for kind, packet in self.inner.receive(data)]


def test_a_decoder_that_feeds_is_heard_as_the_kits_own():
    theirs, mine = call(nodelay=False), call(nodelay=False, decoder=Feeds)
    assert (theirs.audio == mine.audio).all()
    assert theirs.unheard == 0


def test_one_read_is_one_frame_only_while_nothing_is_joined():
    """Each frame alone in its segment: it works. Two in one: it does not, and nobody touched it."""
    assert call(decoder=OneReadOneFrame).unheard == 0
    assert call(decoder=OneReadOneFrame, nodelay=False).unheard > 0.3


def test_nagle_costs_delay_and_no_sound():
    at_once, held = call(), call(nodelay=False)
    assert (at_once.unheard, held.unheard) == (0, 0)
    assert at_once.timeline.network_delay_ms().max() == 25
    assert 40 < held.timeline.network_delay_ms().mean() < 60  # half of 50 ms, beside the 25


@pytest.mark.parametrize("given", [[None], [(0, 1)], [(0, "x", 2, b"")], [(9, 1, 2, b"")], None])
def test_what_is_no_frame_ends_the_stream_as_wrong_bytes_do(given):
    class Odd:
        def feed(self, data):
            return given

    if given is None:
        with pytest.raises(TypeError):
            call(decoder=Odd)
    else:
        assert call(decoder=Odd).unheard == 1


def test_what_it_raises_as_a_wire_error_ends_the_stream():
    class Refuses:
        def feed(self, data):
            raise Malformed("ver", 0, "I do not like it")

    assert call(decoder=Refuses).unheard == 1
