"""What `tc` reads and writes: "40ms", "2mbit", "1.5%", and a whole line of netem's options.

Reading follows tc(8), section PARAMETERS, with one exception: a bare number is refused. To `tc`
it means microseconds in one place and bits a second in another, which is a trap in a file that
people read. Writing gives back the shortest form that `tc` reads as the same number.

This module knows the words, not files and not packets.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from labkit.words.errors import BadInput
from labkit.words.linkspec import LinkSpec
from labkit.words.units import NS_PER_MS, NS_PER_S, NS_PER_US

_TIMES: Final = {"ns": 1, "us": NS_PER_US, "ms": NS_PER_MS, "s": NS_PER_S}
_RATES: Final = {
    "bit": 1,
    "kbit": 10**3,
    "mbit": 10**6,
    "gbit": 10**9,
    "bps": 8,  # to tc, "bps" is bytes a second
    "kbps": 8 * 10**3,
    "mbps": 8 * 10**6,
    "gbps": 8 * 10**9,
}
# What `tc qdisc change` leaves as it was unless the line names it: netem_change in sch_netem.c.
_KEPT: Final = ("distribution", "corrupt", "rate", "slot")
_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z%]*)", re.IGNORECASE)


def _read(value: object, units: Mapping[str, float], example: str) -> float:
    """The number times its unit. `BadInput` says which units there are."""
    match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
    unit = match[2].lower() if match else ""
    if match is None or unit not in units:
        known = ", ".join(units)
        raise BadInput(f"{value!r} is not a number with a unit ({known})", f'"{example}"')
    return float(match[1]) * units[unit]


def read_time(value: object) -> int:
    """Nanoseconds in "40ms"; units ns, us, ms, s."""
    return round(_read(value, _TIMES, "40ms"))


def read_rate(value: object) -> int:
    """Bits a second in "2mbit".

    Units bit, kbit, mbit, gbit, and in bytes a second bps, kbps, mbps, gbps.
    """
    return round(_read(value, _RATES, "2mbit"))


def read_share(value: object) -> float:
    """The number 0..1 in "1.5%"."""
    share = _read(value, {"%": 1}, "1.5%") / 100
    if share > 1:
        raise BadInput(f"{value!r} is more than all", '"100%" at most')
    return share


def write_time(nanoseconds: int) -> str:
    """In the largest unit that leaves no fraction: 40000000 is "40ms"."""
    for unit in ("s", "ms", "us"):
        if nanoseconds % _TIMES[unit] == 0:
            return f"{nanoseconds // _TIMES[unit]}{unit}"
    return f"{nanoseconds}ns"


def write_rate(bits: int) -> str:
    """In the largest unit that leaves no fraction: 2000000 is "2mbit"."""
    for unit in ("gbit", "mbit", "kbit"):
        if bits % _RATES[unit] == 0:
            return f"{bits // _RATES[unit]}{unit}"
    return f"{bits}bit"


def write_share(share: float) -> str:
    """As per cent: 0.015 is "1.5%"."""
    return f"{share * 100:.9g}%"


def tc_arguments(spec: LinkSpec, *, link_header: int = 14) -> list[str]:
    """The words after `tc qdisc add dev DEV root netem`.

    `link_header` is what the device puts before the IP packet (14 on Ethernet, 0 on a TUN
    device): netem counts it into `rate` and a profile does not, so it is taken off again.

    Steps and delay traces are not netem's: they raise `BadInput`. Steps are a series of
    `tc qdisc change`, which `tc_steps` writes.
    """
    for part in ("steps", "delay_trace"):
        if getattr(spec, part):
            raise BadInput(
                f"tc netem cannot express {part}",
                "tc_steps(spec), one after another" if part == "steps" else "labkit net run",
            )
    words: list[str] = []
    if spec.delay or spec.jitter:
        words += ["delay", write_time(spec.delay)]
    if spec.jitter:
        words += [write_time(spec.jitter)]
        words += [write_share(spec.delay_correlation)] if spec.delay_correlation else []
        words += ["distribution", spec.distribution] if spec.distribution != "uniform" else []
    if spec.loss:
        words += ["loss", "random", write_share(spec.loss)]
        words += [write_share(spec.loss_correlation)] if spec.loss_correlation else []
    if spec.gemodel:
        words += ["loss", "gemodel", *map(write_share, spec.gemodel)]
    if spec.duplicate:
        words += ["duplicate", write_share(spec.duplicate)]
    if spec.corrupt:
        words += ["corrupt", write_share(spec.corrupt)]
    if spec.reorder:
        words += ["reorder", write_share(spec.reorder.probability)]
        words += [write_share(spec.reorder.correlation), "gap", str(spec.reorder.gap)]
    if spec.rate:
        words += ["rate", write_rate(spec.rate), str(spec.packet_overhead - link_header)]
    if spec.slot:
        words += ["slot", write_time(spec.slot.min_delay), write_time(spec.slot.max_delay)]
        words += ["packets", str(spec.slot.packets)] if spec.slot.packets else []
        words += ["bytes", str(spec.slot.bytes)] if spec.slot.bytes else []
    return [*words, "limit", str(spec.limit)]


def tc_steps(spec: LinkSpec) -> list[tuple[int, list[str]]]:
    """The moments at which a link changes, in nanoseconds from 0, and `tc_arguments` for each.

    The first is for `tc qdisc add` and the others for `tc qdisc change`, after which netem keeps
    what the line does not name. So a rate, say, cannot go away: that raises `BadInput`.
    """
    moments = [0, *(step.at for step in spec.steps if step.at)]
    lines = [(moment, tc_arguments(spec.at(moment))) for moment in moments]
    for (_, before), (moment, after) in pairwise(lines):
        for word in _KEPT:
            if word in before and word not in after:
                raise BadInput(
                    f"tc netem keeps the {word}, which ends after {write_time(moment)}",
                    f"a {word} that changes nothing, in that step",
                )
    return lines
