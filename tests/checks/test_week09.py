"""Week 9: what the checks hold to be right, beside the kit and beside the RFCs."""

from random import Random

import pytest

from labkit.checks import through
from labkit.checks.exercise import find
from labkit.checks.subject import InProcess
from labkit.core import token
from labkit.core.nat import Behaviour, Dependence, Mapped, Nat, Ports
from labkit.lab.nat import every_pair
from labkit.wire import stun
from labkit.words.errors import WireError

SECRET = b"sixteen bytes or more"


@pytest.mark.parametrize("subject", ["alice", "Zoë", "room 7: door"])
def test_a_token_by_hand_is_the_one_that_the_kit_takes(subject):
    made = through.token(SECRET, subject, 1_795_000_000)
    assert made == token.issue(SECRET, subject, 1_795_000_000)
    assert token.verify(SECRET, made, 0).subject == subject


def test_rfc_5769_is_read_by_hand():
    there = ("success", through.SAMPLE_ID)
    assert through.read(through.SAMPLE_IPV4) == (*there, ("192.0.2.1", 32853))
    host = "2001:db8:1234:5678:11:2233:4455:6677"
    assert through.read(through.SAMPLE_IPV6) == (*there, (host, 32853))


def both(data):
    """The same datagram, read by hand and by the kit."""
    try:
        message = stun.unpack(data)
    except WireError:
        return through.read(data), None
    mapped = message.get(stun.Attribute.XOR_MAPPED_ADDRESS)
    return through.read(data), (message.kind.name.lower(), message.transaction, mapped)


def test_stun_by_hand_is_what_the_kit_reads():
    for data in (*through.captured(), *through.punched(1)):
        ours, kits = both(data)
        assert ours == kits
    assert sum(through.read(data) is None for data in through.captured()) == 189


@pytest.mark.parametrize("mapping", Dependence)
def test_mappings_by_hand_are_those_of_the_kits_nat(mapping):
    nat = Nat("198.51.100.1", "192.168.1.0/24", Behaviour(mapping, ports=Ports.SEQUENTIAL))
    dice = Random(9)
    sent = [
        ((f"192.168.1.{dice.randint(2, 3)}", 5004), (f"192.0.2.{dice.randint(1, 3)}", port))
        for port in dice.choices((3478, 7000), k=40)
    ]
    seen = []
    for inside, remote in sent:
        nat.receive_routed(b"", inside, remote, 0)
        seen += [each.source[1] for each in nat.transmits()]
    first = next(each.outside[1] for each in nat.events() if isinstance(each, Mapped))
    assert seen == through.mapped_ports(mapping.value, sent, first)


def test_the_table_of_pairs_is_what_trying_them_gives():
    tried = {
        tuple((kind.mapping.value, kind.filtering.value) for kind in pair): found
        for pair, found in every_pair().items()
    }
    assert tried == through.HOLES


def test_frames_by_counting():
    frames = [(0.0, 30.0), (20.0, 120.0), (40.0, 120.0), (60.0, None), (80.0, 110.0)]
    assert through.together(frames) == 1
    assert through.missing(frames, 80) == 40
    assert through.missing(frames, 30) == 60
    assert through.wait_for(frames, 40) == {80}
    assert through.wait_for(frames, 20) == {100}
    assert through.wait_for(frames, 19) is None


def test_the_kits_own_token_has_full_marks_but_for_the_comparison():
    """Nobody is asked for what the kit does not do."""

    def check_token(secret, text, now):
        return token.verify(secret, text, now * 10**9).subject

    report = find("09.1").run(InProcess({"make_token": token.issue, "check_token": check_token}))
    parts = {part.name: part.passed for part in report.parts}
    assert parts == {"make": True, "reads": True, "forged": True, "malformed": False, "same": False}
