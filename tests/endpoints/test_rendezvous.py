"""The rendezvous: two in a room learn of each other, and nobody can fill the house."""

import pytest

from labkit.endpoints import rendezvous
from labkit.endpoints.rendezvous import Rendezvous
from labkit.wire.stun import Attribute, Class, ErrorCode, Message, pack, unpack
from labkit.words.machine import DatagramMachine
from labkit.words.units import seconds

ALICE, BOB, EVE = ("198.51.100.1", 1), ("203.0.113.1", 2), ("192.0.2.77", 3)


def ask(machine, who, now=0, room="lab", address=None):
    """The answer to one question."""
    said = ((Attribute.USERNAME, room), (Attribute.XOR_PEER_ADDRESS, address or who))
    request = pack(Message(Class.REQUEST, bytes(12), said))
    machine.receive_datagram(request, who, now)
    ((data, destination),) = machine.transmits()
    assert destination == who
    assert len(data) <= len(request)
    return unpack(data)


def test_it_is_a_machine_without_a_clock():
    machine = Rendezvous()
    assert isinstance(machine, DatagramMachine)
    machine.tick(1)
    assert machine.deadline() is None
    assert machine.events() == []


def test_two_in_a_room_learn_what_each_has_left():
    """Not where its question came from: towards us its NAT may use another port."""
    machine, bob_elsewhere = Rendezvous(), (BOB[0], 99)
    assert ask(machine, ALICE).attributes == ()
    assert ask(machine, BOB, address=bob_elsewhere).get(Attribute.XOR_PEER_ADDRESS) == ALICE
    assert ask(machine, ALICE).get(Attribute.XOR_PEER_ADDRESS) == bob_elsewhere


def test_rooms_are_apart():
    machine = Rendezvous()
    ask(machine, ALICE, room="one")
    assert ask(machine, BOB, room="two").attributes == ()


def test_a_third_is_refused_until_one_has_left():
    machine = Rendezvous()
    ask(machine, ALICE)
    ask(machine, BOB)
    assert ask(machine, EVE).get(Attribute.ERROR_CODE) == ErrorCode(403)
    ask(machine, BOB, seconds(6))
    answer = ask(machine, EVE, seconds(10) + 1)
    assert answer.get(Attribute.XOR_PEER_ADDRESS) == BOB


def test_the_house_is_full_until_rooms_are_empty(monkeypatch):
    monkeypatch.setattr(rendezvous, "MOST_ROOMS", 3)
    machine = Rendezvous()
    for room in "abc":
        ask(machine, ALICE, room=room)
    assert ask(machine, ALICE, room="d").kind is Class.ERROR
    assert ask(machine, BOB, room="a").kind is Class.SUCCESS
    assert ask(machine, ALICE, seconds(11), room="d").kind is Class.SUCCESS
    assert len(machine._rooms) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"noise",
        pack(Message(Class.REQUEST, bytes(12))),
        pack(Message(Class.REQUEST, bytes(12), ((Attribute.USERNAME, "lab"),))),
        pack(Message(Class.REQUEST, bytes(12), ((Attribute.XOR_PEER_ADDRESS, BOB),))),
        pack(Message(Class.INDICATION, bytes(12), ((Attribute.USERNAME, "lab"),))),
    ],
)
def test_what_makes_no_sense_is_counted_and_not_answered(data):
    machine = Rendezvous()
    machine.receive_datagram(data, EVE, 0)
    assert machine.transmits() == []
    assert machine.refused == 1
