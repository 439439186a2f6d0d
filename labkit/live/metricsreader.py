"""Metrics as figures again: what `labkit top` reads is what a dashboard here would show.

The page is parsed by `prometheus_client`, the names are those of `labkit.live.metrics`. What a page
does not say stays unknown, and what it says beyond is not looked at, so either side may be newer.

This module knows no HTTP.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from labkit.core.figures import (
    Basis,
    ClientFigures,
    Distribution,
    ReceiverFigures,
    ServerFigures,
)
from labkit.live.metrics import (
    CLIENT,
    INTERARRIVAL,
    LATEST,
    MOUTH_TO_EAR,
    OTHER,
    RECEIVER,
    REFUSED,
    SERVER,
    Figures,
    Metric,
)
from labkit.words.errors import BadInput
from labkit.words.units import NS_PER_S

_REMEDY: Final = "the port that was given to --metrics"
Samples: TypeAlias = dict[str, list[tuple[dict[str, str], float]]]
"""Labels and value of every sample, by name."""


def read_figures(text: str) -> Figures:
    """The figures that `families` made this text of. `BadInput` when it is not of that kind."""
    samples: Samples = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples.setdefault(sample.name, []).append((sample.labels, sample.value))
        return _figures(samples)
    except (ValueError, KeyError, IndexError, OverflowError, TypeError) as error:
        raise BadInput(f"these are no metrics: {error}", _REMEDY) from error


def _figures(samples: Samples) -> Figures:
    if SERVER[0].exposed in samples:
        clients: dict[str, dict[str, Any]] = {}
        for metric in CLIENT:
            for labels, value in samples.get(metric.exposed, ()):
                clients.setdefault(labels.get("client", ""), {})[metric.field] = _back(
                    metric, value
                )
        refused = samples.get(REFUSED + "_total", ())
        return ServerFigures(
            **_fields(SERVER, samples),
            refused={labels.get("reason", OTHER): int(value) for labels, value in refused},
            clients=tuple(ClientFigures(name, **fields) for name, fields in clients.items()),
        )
    if RECEIVER[0].exposed not in samples:
        raise BadInput("no streamer and no receiver is behind these metrics", _REMEDY)
    latest = samples.get(LATEST, [])
    basis = {b.value: b for b in Basis}
    return ReceiverFigures(
        **_fields(RECEIVER, samples),
        mouth_to_ear=round(latest[0][1] * NS_PER_S) if latest else None,
        mouth_to_ear_by=basis.get(latest[0][0].get("basis", "")) if latest else None,
        mouth_to_ears=_distribution(MOUTH_TO_EAR, samples),
        interarrivals=_distribution(INTERARRIVAL, samples),
    )


def _fields(table: Sequence[Metric], samples: Samples) -> dict[str, Any]:
    known = (m for m in table if m.exposed in samples and m.field != "loss")  # that follows
    return {m.field: _back(m, samples[m.exposed][0][1]) for m in known}


def _back(metric: Metric, value: float) -> float:
    return value if metric.field == "loss" else round(value * metric.unit.value)


def _distribution(name: str, samples: Samples) -> Distribution:
    buckets = [(labels["le"], value) for labels, value in samples.get(name + "_bucket", ())]
    below = [0.0, *(value for _, value in buckets)]
    return Distribution(
        tuple(round(float(bound) * NS_PER_S) for bound, _ in buckets[:-1]),
        tuple(int(b - a) for a, b in pairwise(below)) or (0,),
        round(samples[name + "_sum"][0][1] * NS_PER_S) if name + "_sum" in samples else 0,
    )
