"""The contract: what counts as a machine, and what the first of several deadlines is."""

from labkit.words.machine import DatagramMachine, Machine, StreamMachine, earliest


class Quiet:
    def tick(self, now): ...
    def deadline(self): ...
    def transmits(self): ...
    def events(self): ...


class Datagrams(Quiet):
    def receive_datagram(self, data, source, now): ...


class Streams(Quiet):
    def receive_data(self, data, now): ...
    def receive_eof(self, now): ...
    def pause_writing(self): ...
    def resume_writing(self): ...


def test_a_machine_is_known_by_its_verbs_and_needs_no_base_class():
    assert isinstance(Quiet(), Machine)
    assert not isinstance(object(), Machine)


def test_the_two_kinds_of_wire_are_told_apart():
    assert isinstance(Datagrams(), DatagramMachine)
    assert not isinstance(Datagrams(), StreamMachine)
    assert isinstance(Streams(), StreamMachine)
    assert not isinstance(Streams(), DatagramMachine)


def test_the_earliest_deadline_ignores_those_that_are_never():
    assert earliest(30, None, 10, 20) == 10
    assert earliest(0, 5) == 0
    assert earliest(None, None) is None
    assert earliest() is None
