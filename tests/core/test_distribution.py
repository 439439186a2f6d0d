"""Our tables of delay against the ones that iproute2 ships."""

from pathlib import Path

import pytest

from labkit.core.distribution import SCALE_BITS, TABLE_SIZE, delay_table


def shipped(name: str) -> list[int]:
    """The table that tc sends to the kernel."""
    folders = [Path("/usr/lib/tc"), *Path("/usr/lib").glob("*/tc"), Path("/usr/share/tc")]
    path = next(f for f in (folder / f"{name}.dist" for folder in folders) if f.is_file())
    lines = path.read_text().splitlines()
    return [int(number) for line in lines if not line.startswith("#") for number in line.split()]


@pytest.mark.peer
@pytest.mark.parametrize("name", ["normal", "pareto", "paretonormal"])
def test_each_table_is_tcs_to_the_last_unit(need, name):
    """Rounding may differ by one unit, which is an eight-thousandth of the jitter."""
    need("tc")
    theirs, ours = shipped(name), delay_table(name)
    assert len(theirs) == len(ours) == TABLE_SIZE
    assert max(abs(a - b) for a, b in zip(theirs, ours, strict=True)) <= 1


def test_a_table_is_computed_once():
    assert delay_table("normal") is delay_table("normal")


@pytest.mark.parametrize("name", ["normal", "pareto", "paretonormal"])
def test_a_table_goes_up_and_stays_within_four(name):
    table = delay_table(name)
    assert list(table) == sorted(table)
    assert table[0] >= -4 << SCALE_BITS
    assert table[-1] < 4 << SCALE_BITS
