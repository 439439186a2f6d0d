"""A listener behind a NAT: calls in virtual time. Real kernels: tests/live/test_quic_nat.py."""

import pytest

from labkit.core.nat import FULL_CONE, PORT_RESTRICTED_CONE, SYMMETRIC
from labkit.lab.behindnat import SERVER, behind_nat
from labkit.lab.call import Call
from labkit.lab.nat import ALICE, ALICE_NAT
from labkit.lab.sources import speech
from labkit.words.errors import BadInput


@pytest.mark.parametrize("transport", ["quic", "quic-stream", "rtp"])
@pytest.mark.parametrize("behaviour", [FULL_CONE, PORT_RESTRICTED_CONE, SYMMETRIC], ids=str)
def test_who_calls_from_inside_hears_whatever_the_nat(transport, behaviour):
    passage = behind_nat(Call(speech(1.5), transport=transport, seed=1), behaviour)
    assert passage.result.unheard == 0
    assert passage.result.stoi > 0.98
    assert [each.inside for each in passage.mapped] == [ALICE]
    assert "lent: port 5004" in str(passage)


def test_the_server_never_sees_the_address_inside():
    passage = behind_nat(Call(speech(1.5), transport="quic", seed=1))
    to_server = {c.source for c in passage.result.tap.sent if c.destination == SERVER}
    assert (ALICE_NAT[0], 5004) in to_server
    inside = {c.destination for c in passage.result.tap.arrived if c.source == SERVER}
    assert ALICE in inside


def test_a_byte_stream_has_no_packets_for_a_nat():
    with pytest.raises(BadInput, match="datagrams only"):
        behind_nat(Call(transport="wss"))
