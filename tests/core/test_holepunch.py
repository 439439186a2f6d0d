"""One peer of a hole punching, stepped by hand: what it asks and believes, when it gives up."""

from random import Random

import pytest

from labkit.core.automaton import to_text
from labkit.core.holepunch import (
    MOST_CANDIDATES,
    TRANSITIONS,
    HolePuncher,
    Learned,
    Met,
    Phase,
    Punched,
    Unreachable,
)
from labkit.wire.stun import Attribute, Class, ErrorCode, Message, pack, unpack, verify
from labkit.words.errors import LocalProtocolError
from labkit.words.machine import DatagramMachine
from labkit.words.units import ms, seconds

STUN, RENDEZVOUS = ("192.0.2.1", 3478), ("192.0.2.3", 7000)
US, PEER, ELSEWHERE = ("198.51.100.1", 5004), ("203.0.113.1", 5004), ("203.0.113.1", 61_000)
SECRET = b"between us"
ID = bytes(range(12))


def puncher() -> HolePuncher:
    return HolePuncher(STUN, RENDEZVOUS, "room", SECRET, rng=Random(5128))


def respond(machine: HolePuncher, now: int, *attributes, kind=Class.SUCCESS, key=b"") -> None:
    """Answer the last thing that it has sent, from where that went."""
    data, destination = machine.transmits()[-1]
    answer = pack(Message(kind, unpack(data).transaction, attributes), key=key)
    machine.receive_datagram(answer, destination, now)


def met(now: int = 0) -> HolePuncher:
    """A peer that has learned both addresses."""
    machine = puncher()
    machine.tick(now)
    respond(machine, now, (Attribute.XOR_MAPPED_ADDRESS, US))
    machine.tick(now)
    respond(machine, now, (Attribute.XOR_PEER_ADDRESS, PEER))
    machine.tick(now)
    assert machine.phase is Phase.PUNCHING
    return machine


def check(key: bytes = SECRET, transaction: bytes = ID, kind=Class.REQUEST) -> bytes:
    said = ((Attribute.USERNAME, "room"),)
    return pack(Message(kind, transaction, said, fingerprint=True), key=key)


def test_it_is_a_machine_whose_states_can_be_drawn():
    assert isinstance(puncher(), DatagramMachine)
    assert "punching -- check answered" in to_text(TRANSITIONS)


def test_who_has_no_secret_cannot_tell_the_peer_from_others():
    with pytest.raises(LocalProtocolError):
        HolePuncher(STUN, RENDEZVOUS, "room", b"")


def test_the_way_from_learning_to_open():
    machine = puncher()
    machine.tick(0)
    ((data, destination),) = machine.transmits()
    assert destination == STUN
    answer = ((Attribute.XOR_MAPPED_ADDRESS, US),)
    machine.receive_datagram(
        pack(Message(Class.SUCCESS, unpack(data).transaction, answer)), STUN, ms(30)
    )
    assert machine.events() == [Learned(US)]
    machine.tick(machine.deadline())
    ((data, destination),) = machine.transmits()
    assert destination == RENDEZVOUS
    asked = unpack(data)
    assert asked.get(Attribute.USERNAME) == "room"
    assert asked.get(Attribute.XOR_PEER_ADDRESS) == US
    answer = ((Attribute.XOR_PEER_ADDRESS, PEER),)
    machine.receive_datagram(
        pack(Message(Class.SUCCESS, asked.transaction, answer)), RENDEZVOUS, ms(60)
    )
    assert machine.events() == [Met(PEER)]
    machine.tick(machine.deadline())
    ((data, destination),) = machine.transmits()
    assert destination == PEER
    assert verify(data, SECRET)
    answer = pack(Message(Class.SUCCESS, unpack(data).transaction), key=SECRET)
    machine.receive_datagram(answer, PEER, ms(90))
    assert machine.events() == [Punched(PEER)]
    assert (machine.phase, machine.peer) == (Phase.OPEN, PEER)


def test_it_asks_at_the_rendezvous_each_half_second_for_a_minute():
    machine = puncher()
    machine.tick(0)
    respond(machine, 0, (Attribute.XOR_MAPPED_ADDRESS, US))
    machine.events()
    asked = []
    while (due := machine.deadline()) is not None:
        machine.tick(due)
        asked += [due] * len(machine.transmits())
    assert asked == [ms(500) * n for n in range(120)]
    assert machine.events() == [Unreachable("nobody came to the rendezvous")]
    assert machine.phase is Phase.FAILED


def test_an_empty_answer_means_that_nobody_is_there_yet():
    machine = puncher()
    machine.tick(0)
    respond(machine, 0, (Attribute.XOR_MAPPED_ADDRESS, US))
    machine.tick(0)
    respond(machine, 1)
    assert machine.phase is Phase.MEETING


def test_a_rendezvous_may_refuse():
    machine = puncher()
    machine.tick(0)
    respond(machine, 0, (Attribute.XOR_MAPPED_ADDRESS, US))
    machine.tick(0)
    respond(machine, 1, (Attribute.ERROR_CODE, ErrorCode(403)), kind=Class.ERROR)
    assert machine.events()[-1] == Unreachable("the rendezvous refused: 403")


def test_without_a_stun_server_nothing_begins():
    machine = puncher()
    machine.tick(0)
    while (due := machine.deadline()) is not None:
        machine.tick(due)
    why = "the STUN server did not say how we look from outside"
    assert machine.events() == [Unreachable(why)]


def test_checks_are_repeated_until_patience_ends():
    machine = met()
    sent = [0] * len(machine.transmits())
    while (due := machine.deadline()) is not None:
        machine.tick(due)
        sent += [due] * len(machine.transmits())
    assert sent == [ms(200) * n for n in range(50)]
    assert machine.events()[-1] == Unreachable("no check came in, and none was answered")


# What it believes ------------------------------------------------------------------------------


def test_a_check_of_the_peer_is_answered_with_where_it_came_from():
    machine = met()
    machine.transmits()
    machine.receive_datagram(check(), PEER, ms(1))
    data, destination = machine.transmits()[0]
    assert destination == PEER
    assert verify(data, SECRET)
    message = unpack(data)
    assert (message.kind, message.transaction, message.mapped) == (Class.SUCCESS, ID, PEER)


def test_a_check_from_an_address_that_nobody_named_is_checked_at_once():
    machine = met()
    machine.transmits()
    machine.receive_datagram(check(), ELSEWHERE, ms(1))
    answer, own = machine.transmits()
    assert answer.destination == own.destination == ELSEWHERE
    assert unpack(own.data).kind is Class.REQUEST
    machine.tick(ms(200))
    assert [d.destination for d in machine.transmits()] == [PEER, ELSEWHERE]


def test_only_an_answer_from_where_the_check_went_opens_the_hole():
    """Else the way back would not be the way there, and a session would not know its peer."""
    machine = met()
    ((data, _),) = machine.transmits()
    answer = pack(Message(Class.SUCCESS, unpack(data).transaction), key=SECRET)
    machine.receive_datagram(answer, ELSEWHERE, ms(1))
    assert machine.phase is Phase.PUNCHING
    machine.receive_datagram(answer, PEER, ms(2))
    assert machine.phase is Phase.OPEN


def test_what_is_not_signed_by_the_peer_is_counted_and_does_nothing():
    machine = met()
    ((data, _),) = machine.transmits()
    transaction = unpack(data).transaction
    machine.events()
    for forged in (
        b"noise",
        check(key=b""),
        check(key=b"guess"),
        pack(Message(Class.SUCCESS, transaction)),
        pack(Message(Class.SUCCESS, transaction), key=b"guess"),
        check(transaction=transaction),  # our own check, thrown back at us
        data,
        check(kind=Class.SUCCESS),
    ):
        machine.receive_datagram(forged, PEER, ms(1))
    assert machine.refused == 8
    assert machine.transmits() == []
    assert machine.events() == []
    assert machine.phase is Phase.PUNCHING


def test_a_check_that_comes_before_the_meeting_is_answered_and_remembered():
    machine = puncher()
    machine.tick(0)
    respond(machine, 0, (Attribute.XOR_MAPPED_ADDRESS, US))
    machine.receive_datagram(check(), ELSEWHERE, ms(1))
    ((data, destination),) = machine.transmits()
    assert (unpack(data).kind, destination) == (Class.SUCCESS, ELSEWHERE)
    machine.tick(ms(2))
    respond(machine, ms(3), (Attribute.XOR_PEER_ADDRESS, PEER))
    machine.tick(ms(3))
    assert {d.destination for d in machine.transmits()} == {PEER, ELSEWHERE}


def test_a_peer_with_ever_new_ports_costs_no_more_than_the_bound():
    machine = met()
    for port in range(1024, 1024 + 100):
        machine.receive_datagram(check(), ("203.0.113.1", port), ms(1))
    machine.transmits()
    machine.tick(ms(200))
    assert len(machine.transmits()) == MOST_CANDIDATES


def test_an_address_that_stun_cannot_write_is_counted():
    machine = met()
    machine.transmits()
    machine.receive_datagram(check(), "a name", ms(1))
    assert machine.transmits() == []
    assert machine.refused == 1


def test_what_came_in_is_told_when_it_was_not_enough():
    machine = met()
    machine.receive_datagram(check(), ELSEWHERE, ms(1))
    while (due := machine.deadline()) is not None:
        machine.tick(due)
    assert machine.events()[-1].why.startswith("the peer's checks came in")
    machine.transmits()
    machine.receive_datagram(check(), PEER, seconds(11))
    assert machine.transmits() == [], "who has given up does not lead the other one on"


# The open hole ---------------------------------------------------------------------------------


def opened() -> HolePuncher:
    machine = met()
    respond(machine, ms(30), key=SECRET)
    assert machine.phase is Phase.OPEN
    return machine


def test_an_open_hole_is_kept_open():
    """Each 15 seconds an indication, which nobody answers; a NAT forgets after 120."""
    machine = opened()
    assert machine.deadline() == ms(30) + seconds(15)
    machine.tick(ms(30) + seconds(15))
    ((data, destination),) = machine.transmits()
    assert (unpack(data).kind, destination) == (Class.INDICATION, PEER)
    assert machine.deadline() == ms(30) + seconds(30)
    other = opened()
    other.receive_datagram(data, PEER, seconds(15))
    assert other.transmits() == []
    assert other.refused == 0


def test_an_open_hole_still_answers_the_peer_who_may_not_know_yet():
    machine = opened()
    machine.receive_datagram(check(), PEER, ms(31))
    ((data, destination),) = machine.transmits()
    assert (unpack(data).kind, destination) == (Class.SUCCESS, PEER)


def test_a_second_answer_changes_nothing():
    machine = met()
    machine.receive_datagram(check(), ELSEWHERE, ms(1))
    out = machine.transmits()
    answers = [
        (pack(Message(Class.SUCCESS, unpack(d.data).transaction), key=SECRET), d.destination)
        for d in out
        if unpack(d.data).kind is Class.REQUEST
    ]
    for data, source in answers:
        machine.receive_datagram(data, source, ms(2))
    assert len(answers) == 2
    assert machine.peer == answers[0][1]
    assert sum(isinstance(e, Punched) for e in machine.events()) == 1
