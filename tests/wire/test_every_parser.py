"""Whatever bytes come, a parser raises `WireError` and nothing else.

The promises are those of `tests/fuzz/fuzz_wire.py`, which a fuzzer drives for longer: what is
accepted can also be packed again and then means the same.
"""

import importlib.util
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.words.errors import WireError

_SPEC = importlib.util.spec_from_file_location(
    "fuzz_wire", Path(__file__).parent.parent / "fuzz" / "fuzz_wire.py"
)
fuzz_wire = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(fuzz_wire)

EXAMPLES = list(fuzz_wire.examples())
every_parser = pytest.mark.parametrize("promise", fuzz_wire.PROMISES)


def holds(promise, data):
    with suppress(WireError):
        promise(data)


@every_parser
def test_there_is_an_example_that_it_accepts(promise):
    accepted = [data for owner, data in EXAMPLES if owner is promise]
    assert accepted
    for data in accepted[:1]:
        promise(data)


@every_parser
@given(data=st.binary(max_size=200))
def test_random_bytes(promise, data):
    holds(promise, data)


@pytest.mark.parametrize(("promise", "data"), EXAMPLES)
def test_cut_at_every_length(promise, data):
    for length in range(len(data)):
        holds(promise, data[:length])


@pytest.mark.parametrize(("promise", "data"), EXAMPLES)
def test_every_bit_flipped(promise, data):
    for at in range(len(data)):
        for bit in range(8):
            holds(promise, data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])


@pytest.mark.parametrize(("promise", "data"), EXAMPLES)
@given(noise=st.data())
def test_several_bytes_replaced_and_more_appended(promise, data, noise):
    spoiled = bytearray(data + noise.draw(st.binary(max_size=20)))
    for _ in range(noise.draw(st.integers(1, 6))):
        at = noise.draw(st.integers(0, len(spoiled) - 1))
        spoiled[at] = noise.draw(st.integers(0, 255))
    holds(promise, bytes(spoiled))


@every_parser
def test_a_length_field_is_never_believed(promise):
    """Every aligned word of every example becomes the largest number there is."""
    for owner, data in EXAMPLES:
        if owner is promise:
            for at in range(len(data) - 1):
                spoiled = bytearray(data)
                struct.pack_into("!H", spoiled, at, 0xFFFF)
                holds(promise, bytes(spoiled))
