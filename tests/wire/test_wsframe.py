"""The one header of WebSocket that we write ourselves, beside the library's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from labkit.wire.wsframe import BINARY, measure, pack

SIZES = [0, 1, 125, 126, 65_535, 65_536, 70_000]


@pytest.mark.parametrize("size", SIZES)
def test_it_is_what_the_library_writes(size):
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    data = Frame(Opcode.BINARY, payload).serialize(mask=False)
    assert pack(payload) == data
    assert data[0] == BINARY


def test_the_example_of_the_specification():
    """RFC 6455 section 5.7: 256 bytes of binary data in a single unmasked frame."""
    assert pack(bytes(256))[:4] == bytes([0x82, 0x7E, 0x01, 0x00])


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_where_a_frame_ends_however_little_of_it_is_there(size, mask):
    data = bytes(3) + Frame(Opcode.BINARY, bytes(size)).serialize(mask=mask)
    start, end = measure(data, 3)
    assert (end, end - start) == (len(data), size)
    for have in range(3, min(len(data), 20)):
        assert have < measure(data[:have], 3)[1] <= end


@given(st.binary(max_size=20), st.integers(0, 25))
def test_it_never_stands_still(data, offset):
    start, end = measure(data, offset)
    assert offset + 2 <= start <= end
