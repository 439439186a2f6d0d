"""The dashboard and the alert rules speak of metrics that exist, and tell people what to do."""

import asyncio
import json
import re
import urllib.request

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from labkit.core.figures import Basis, ClientFigures, Distribution, ReceiverFigures, ServerFigures
from labkit.live.exporter import exporter
from labkit.resources import operations_folder

FOLDER = operations_folder()
DELAYS = Distribution((1, 2), (1, 1, 1), 6)
FULL = (
    ReceiverFigures(
        target=1, jitter=1, round_trip=1, mouth_to_ear=1, mouth_to_ear_by=Basis.SENDER_REPORT,
        mouth_to_ears=DELAYS, interarrivals=DELAYS,
    ),
    ServerFigures(
        refused={"a token": 1},
        clients=(ClientFigures("a", bitrate=1, loss=0.1, jitter=1, round_trip=1),),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def exposed():
    """Every sample's name that we serve, and its labels."""

    async def pages():
        found = []
        for figures in FULL:
            async with exporter(0, lambda now, figures=figures: figures) as metrics:
                page = await asyncio.to_thread(urllib.request.urlopen, metrics.url)
                with page:
                    found.append(page.read().decode())
        return found

    names = {"up": set(), "ALERTS": {"alertstate", "alertname"}}
    for page in asyncio.run(pages()):
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                names.setdefault(sample.name, set()).update(sample.labels)
    return names


def rules():
    text = (FOLDER / "labkit.rules.yml").read_text()
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def panels():
    board = json.loads((FOLDER / "grafana-labkit.json").read_text())
    return [p for p in board["panels"] if p["type"] != "row"]


def metrics_of(expression):
    return set(re.findall(r"\b(?:labkit|process)_[a-z_]+|\bup\b|\bALERTS\b", expression))


def board_expressions():
    return [target["expr"] for panel in panels() for target in panel["targets"]]


@pytest.mark.parametrize("rule", rules(), ids=lambda r: r["alert"])
def test_an_alert_reads_metrics_that_exist(rule, exposed):
    used = metrics_of(rule["expr"])
    assert used
    assert used <= exposed.keys()


@pytest.mark.parametrize("rule", rules(), ids=lambda r: r["alert"])
def test_an_alert_says_who_what_and_what_to_do(rule, exposed):
    assert re.fullmatch(r"Labkit[A-Z][A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    words = rule["annotations"]
    assert words.keys() == {"summary", "description"}
    assert len(words["description"]) > 40
    known = {"instance"}.union(*(exposed[name] for name in metrics_of(rule["expr"])))
    assert set(re.findall(r"\$labels\.(\w+)", " ".join(words.values()))) <= known
    assert "{{ $labels." in words["summary"]


def test_alerts_have_names_of_their_own():
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) >= 10


@pytest.mark.parametrize("panel", panels(), ids=lambda p: p["title"])
def test_a_panel_reads_metrics_that_exist(panel, exposed):
    for target in panel["targets"]:
        used = metrics_of(target["expr"])
        assert used
        assert used <= exposed.keys()
        known = {"instance", "job"}.union(*(exposed[name] for name in used))
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= known


def test_panels_do_not_overlap():
    board = json.loads((FOLDER / "grafana-labkit.json").read_text())
    cells = [
        (x, y)
        for p in board["panels"]
        for x in range(p["gridPos"]["x"], p["gridPos"]["x"] + p["gridPos"]["w"])
        for y in range(p["gridPos"]["y"], p["gridPos"]["y"] + p["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({p["id"] for p in board["panels"]}) == len(board["panels"])


def test_what_is_served_is_looked_at(exposed):
    """No figure that neither the board nor a rule reads, but those that say the same twice."""
    read = set().union(*map(metrics_of, [*board_expressions(), *(r["expr"] for r in rules())]))
    unread = {n for n in exposed if n.startswith("labkit_")} - read
    unread = {n for n in unread if not n.endswith(("_sum", "_count"))}
    assert unread == {
        "labkit_build_info",  # by the list of instances
        "labkit_receiver_loss_ratio",  # the board has that of the last minute
        "labkit_receiver_payload_bytes_per_second",  # the board takes the counter
        "labkit_receiver_latest_mouth_to_ear_seconds",  # the board takes the histogram
        "labkit_receiver_held_frames_total",
        "labkit_client_sent_packets_total",
        "labkit_client_jitter_seconds",
    }


def test_the_smallest_configuration_loads_the_rules():
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert all((FOLDER / name).is_file() for name in config["rule_files"])
    (job,) = config["scrape_configs"]
    assert f'job="{job["job_name"]}"' in (FOLDER / "labkit.rules.yml").read_text()


def test_the_tests_of_the_rules_speak_of_them():
    tests = yaml.safe_load((FOLDER / "labkit.rules.test.yml").read_text())
    text = (FOLDER / "labkit.rules.test.yml").read_text()
    assert tests["rule_files"] == ["labkit.rules.yml"]
    assert set(re.findall(r"Labkit[A-Z]\w+", text)) <= {rule["alert"] for rule in rules()}
