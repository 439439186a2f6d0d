"""The mouth-to-ear delay that a receiver claims, against the one that virtual time knows."""

import pytest

from labkit.codec import Blank
from labkit.core.figures import Basis
from labkit.endpoints.receiverfigures import receiver_figures
from labkit.lab.call import Call
from labkit.lab.sources import speech
from labkit.words.units import seconds, to_ms


@pytest.mark.parametrize(
    ("transport", "basis", "within_ms"),
    [
        ("rtp", Basis.SENDER_REPORT, 2),
        ("srtp", Basis.SENDER_REPORT, 2),
        ("quic", Basis.HALF_ROUND_TRIP, 20),
        ("udp", None, 0),
        ("tcp", None, 0),
    ],
)
def test_what_is_claimed_is_nearly_so(transport, basis, within_ms):
    """Measured to the millisecond, estimated within a frame, or not known and so not said."""
    receivers = []
    call = Call(
        speech(), codec=Blank(), link="voip-10", transport=transport, watch=receivers.append
    )
    result = call.simulate()
    figures = receiver_figures(receivers[0], seconds(30))
    assert figures.mouth_to_ear_by is basis
    heard = figures.mouth_to_ears
    if basis is None:
        assert heard.count == 0
    else:
        assert to_ms(heard.total / heard.count) == pytest.approx(result.delay_ms, abs=within_ms)
        assert heard.count > 500


def test_over_streams_nothing_is_lost_and_never_less():
    """On streams of their own packets may come in another order, even the first two."""
    receivers = []
    Call(
        speech(), codec=Blank(), link="voip-10", transport="quic-streams", watch=receivers.append
    ).simulate()
    assert receiver_figures(receivers[0], seconds(30)).lost == 0
