"""An ICE-lite agent, asked by messages of RFC 8489's form; aioice's are checked too."""

from random import Random

import aioice.stun
import pytest

from labkit.endpoints.icelite import PRIORITY, USE_CANDIDATE, IceLite, Nominated, new_words
from labkit.wire.sdpice import IceParameters
from labkit.wire.stun import Attribute, Class, Message, pack, unpack, verify
from labkit.words.machine import Datagram

OURS, THEIRS = IceParameters("ours", "o" * 24), IceParameters("them", "t" * 24)
KEY = OURS.password.encode()
BOB, EVE = ("10.0.0.2", 5006), ("10.0.0.3", 666)


class Echo:
    """What stands behind: it says everything back."""

    def __init__(self, peer) -> None:
        self.peer = peer
        self.out = [Datagram(b"hello", peer)]
        self.now = None

    def receive_datagram(self, data, source, now) -> None:
        self.out.append(Datagram(data, source))

    def tick(self, now) -> None:
        self.now = now

    def deadline(self):
        return 77

    def transmits(self):
        out, self.out = self.out, []
        return out

    def events(self):
        return []


def check(*more, username="ours:them", key=KEY, number=0, kind=Class.REQUEST) -> bytes:
    attributes = ((Attribute.USERNAME, username), (PRIORITY, bytes(4)), *more)
    transaction = number.to_bytes(12)
    return pack(Message(kind, transaction, attributes, fingerprint=True), key=key)


NOMINATION = (USE_CANDIDATE, b"")


@pytest.fixture
def agent() -> IceLite:
    return IceLite(OURS, THEIRS, Echo)


def test_a_check_is_answered_and_only_a_nomination_counts(agent):
    agent.receive_datagram(check(), BOB, 0)
    (answer,) = agent.transmits()
    message = unpack(answer.data)
    assert answer.destination == BOB
    assert message.kind is Class.SUCCESS
    assert message.mapped == BOB
    assert message.fingerprint
    assert verify(answer.data, KEY)
    assert agent.machine is None
    assert agent.deadline() is None
    agent.receive_datagram(check(NOMINATION), BOB, 5)
    assert agent.events() == [Nominated(BOB)]
    assert (agent.machine.peer, agent.machine.now) == (BOB, 5)
    assert [data for data, _ in agent.transmits()][1:] == [b"hello"]
    assert agent.deadline() == 77
    assert (agent.answered, agent.refused) == (2, 0)


def test_the_answer_is_read_by_aioice(agent):
    request = aioice.stun.Message(
        message_method=aioice.stun.Method.BINDING, message_class=aioice.stun.Class.REQUEST
    )
    request.attributes["USERNAME"] = "ours:them"
    request.attributes["PRIORITY"] = 1
    request.attributes["ICE-CONTROLLING"] = 7
    request.attributes["USE-CANDIDATE"] = None
    request.add_message_integrity(KEY)
    agent.receive_datagram(bytes(request), BOB, 0)
    assert agent.peer == BOB
    answer = aioice.stun.parse_message(agent.transmits()[0].data)
    assert answer.check_message_integrity(KEY)
    assert answer.message_class == aioice.stun.Class.RESPONSE
    assert answer.transaction_id == request.transaction_id
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == BOB


@pytest.mark.parametrize(
    "wrong",
    [
        check(NOMINATION, key=b"not the password"),
        check(NOMINATION, key=b""),
        check(NOMINATION, username="them:ours"),
        check(NOMINATION, kind=Class.INDICATION),
        check(NOMINATION)[:-1] + b"x",
        b"\x80\x6f" + bytes(40),
        b"\x16\xfe\xfd" + bytes(40),
        b"",
    ],
)
def test_what_is_not_the_peers_is_not_answered(agent, wrong):
    agent.receive_datagram(wrong, EVE, 0)
    assert agent.transmits() == agent.events() == []
    assert agent.machine is None
    assert agent.refused == 1


def test_nobody_else_is_heard_once_the_peer_is_known(agent):
    agent.receive_datagram(check(NOMINATION), BOB, 0)
    agent.transmits()
    agent.receive_datagram(b"\x80 voice", EVE, 0)
    assert agent.transmits() == []
    agent.receive_datagram(b"\x80 voice", BOB, 0)
    assert agent.transmits() == [(b"\x80 voice", BOB)]
    agent.receive_datagram(check(NOMINATION), EVE, 0)  # it knows the password, and moves
    assert agent.peer == BOB


def test_what_must_be_understood_and_is_not_is_said(agent):
    agent.receive_datagram(check((0x7777, b""), NOMINATION), BOB, 0)
    message = unpack(agent.transmits()[0].data)
    assert message.kind is Class.ERROR
    assert message.get(Attribute.UNKNOWN_ATTRIBUTES) == (0x7777,)
    assert agent.machine is None


def test_words_are_long_enough_and_new_each_time():
    one, other = new_words(), new_words()
    assert one != other
    assert len(one.ufrag) >= 4
    assert len(one.password) >= 22
    assert new_words(Random(1)) == new_words(Random(1))
