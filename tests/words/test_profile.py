"""Profiles: what may be written, what is refused and how, and what `tc` is told."""

import subprocess
from dataclasses import replace

import pytest

from labkit.resources import load_profile, profile_names
from labkit.words.errors import BadInput
from labkit.words.profile import (
    GilbertElliott,
    LinkSpec,
    Reorder,
    Slot,
    Step,
    parse_profile,
    tc_arguments,
)
from labkit.words.tc import (
    read_rate,
    read_share,
    read_time,
    tc_steps,
    write_rate,
    write_share,
    write_time,
)
from labkit.words.units import ms, seconds, us

HEAD = 'title = "a test"\nsource = "chosen"\n'


def link(words: str, section: str = "both") -> LinkSpec:
    return parse_profile(f"{HEAD}[{section}]\n{words}", "test").up


def complaint(words: str) -> str:
    """What is said of a file whose [both] section holds these words."""
    with pytest.raises(BadInput) as caught:
        link(words)
    return str(caught.value)


# --- quantities ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("40ms", ms(40)), ("1.5s", seconds(1.5)), ("300us", us(300)), ("7ns", 7), ("2 MS", ms(2))],
)
def test_times(text, nanoseconds):
    assert read_time(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "bits"),
    [("2mbit", 2_000_000), ("64kbit", 64_000), ("1gbit", 10**9), ("9bit", 9), ("10kbps", 80_000)],
)
def test_rates_and_bps_means_bytes_as_it_does_to_tc(text, bits):
    assert read_rate(text) == bits


def test_shares():
    assert read_share("1.5%") == pytest.approx(0.015)
    assert read_share("100%") == 1


@pytest.mark.parametrize("value", ["40", "40 miles", "ms", "-1ms", "1e3ms", "", 40, None, True])
def test_a_time_without_a_unit_is_refused_because_to_tc_it_would_mean_microseconds(value):
    with pytest.raises(BadInput, match=r"is not a number with a unit \(ns, us, ms, s\)"):
        read_time(value)


@pytest.mark.parametrize("value", ["1.5", "101%", 0.1, "half"])
def test_a_share_is_per_cent_and_at_most_all(value):
    with pytest.raises(BadInput):
        read_share(value)


@pytest.mark.parametrize("value", [1, 999, us(1), us(1500), ms(40), seconds(3), seconds(1) + 1])
def test_written_times_are_read_as_the_same(value):
    assert read_time(write_time(value)) == value


@pytest.mark.parametrize("value", [1, 1500, 64_000, 2_000_000, 10**9, 10**9 + 1])
def test_written_rates_are_read_as_the_same(value):
    assert read_rate(write_rate(value)) == value


@pytest.mark.parametrize("value", [0.0, 0.001, 0.015, 1 / 3, 0.29, 1.0])
def test_written_shares_are_read_as_the_same(value):
    assert read_share(write_share(value)) == pytest.approx(value, rel=1e-8)


# --- reading -------------------------------------------------------------------------------------


def test_every_word_of_a_link():
    spec = link("""
        delay = "40ms"
        jitter = "10ms"
        distribution = "paretonormal"
        delay_correlation = "25%"
        gemodel = { p = "1%", r = "30%", 1-h = "90%", 1-k = "0.1%" }
        duplicate = "1%"
        reorder = { probability = "25%", correlation = "50%", gap = 5 }
        corrupt = "0.1%"
        rate = "2mbit"
        packet_overhead = -6
        limit = 100
        slot = { min_delay = "5ms", max_delay = "20ms", packets = 8, bytes = 9000 }
        delay_trace = "spikes"
        delay_trace_step = "20ms"
    """)
    assert spec == LinkSpec(
        delay=ms(40),
        jitter=ms(10),
        distribution="paretonormal",
        delay_correlation=0.25,
        gemodel=GilbertElliott(0.01, 0.3, 0.9, 0.001),
        duplicate=0.01,
        reorder=Reorder(0.25, 0.5, 5),
        corrupt=0.001,
        rate=2_000_000,
        packet_overhead=-6,
        limit=100,
        slot=Slot(ms(5), ms(20), 8, 9000),
        delay_trace="spikes",
        delay_trace_step=ms(20),
    )


def test_loss_and_its_correlation():
    assert link('loss = "2%"\nloss_correlation = "25%"') == LinkSpec(
        loss=0.02, loss_correlation=0.25
    )


def test_gemodel_has_netems_defaults():
    """A bad spell loses everything, a good one nothing."""
    assert link('gemodel = { p = "1%", r = "30%" }').gemodel == GilbertElliott(0.01, 0.3, 1.0, 0.0)


def test_up_and_down_may_differ_and_share_what_both_says():
    profile = parse_profile(
        HEAD + '[both]\ndelay = "9ms"\nloss = "1%"\n[up]\nrate = "1mbit"\n[down]\nloss = "0%"', "x"
    )
    assert profile.up == LinkSpec(delay=ms(9), loss=0.01, rate=1_000_000)
    assert profile.down == LinkSpec(delay=ms(9))
    assert (profile.name, profile.title, profile.source) == ("x", "a test", "chosen")


STEPS = """
[both]
delay = "20ms"
loss = "1%"
repeat = "10s"
[[both.steps]]
at = "2s"
loss = "100%"
[[both.steps]]
at = "3s"
delay = "50ms"
gemodel = { p = "1%", r = "30%" }
[[both.steps]]
at = "5s"
"""


def test_a_step_changes_only_what_it_names_and_none_is_the_link_as_it_was():
    spec = parse_profile(HEAD + STEPS, "x").up
    base = LinkSpec(delay=ms(20), loss=0.01)
    assert spec.at(0) == base
    assert spec.at(seconds(2) - 1) == base
    assert spec.at(seconds(2)) == replace(base, loss=1.0)
    assert spec.at(seconds(4)) == LinkSpec(delay=ms(50), gemodel=GilbertElliott(0.01, 0.3))
    assert spec.at(seconds(9)) == base


def test_steps_repeat():
    spec = parse_profile(HEAD + STEPS, "x").up
    assert spec.at(seconds(12)).loss == 1
    assert spec.at(seconds(1000)).loss == 0.01
    once = replace(spec, repeat=0)
    assert once.at(seconds(12)).loss == 0.01


# --- refusing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ('delai = "40ms"', "profile test: [both] there is no word 'delai' here\n  try: delay"),
        ('delay = "40"', "[both] delay: '40' is not a number with a unit (ns, us, ms, s)"),
        ('loss = "120%"', "[both] loss: '120%' is more than all"),
        ("loss = 0.1", "[both] loss: 0.1 is not a number with a unit (%)"),
        ('limit = "10"', "[both] limit: '10' is not a whole number"),
        ("limit = true", "[both] limit: True is not a whole number"),
        ("limit = 0", "limit is at least 1 packet"),
        ("gemodel = 3", "[both] gemodel: 3 is not a table"),
        ('gemodel = { p = "1%" }', "[both] gemodel: r is missing"),
        ('gemodel = { p = "1%", r = "1%", h = "1%" }', "gemodel: there is no word 'h' here"),
        ('slot = { min_delay = "2ms", max_delay = "1ms" }', "min_delay of slot"),
        ('reorder = { probability = "5%" }', "reorder needs a delay"),
        ('delay = "1ms"\nreorder = { probability = "5%", gap = 0 }', "gap of reorder"),
        ('delay = "1ms"\ndistribution = "normal"', "distribution needs a delay and a jitter"),
        ('distribution = "gauss"', "one of uniform, normal, pareto, paretonormal, not 'gauss'"),
        ('loss = "1%"\ngemodel = { p = "1%", r = "2%" }', "exclude each other"),
        ('delay_trace = ""', "delay_trace: '' is not text in quotes"),
        ('repeat = "1s"', "repeat needs steps"),
        ("steps = 1", "steps: this is not a list of tables"),
        ("steps = [1]", "steps: 1 is not a table"),
        ('steps = [{ loss = "1%" }]', "[both] step 1: at is missing"),
        ('steps = [{ at = "1s" }, { at = "1s" }]', "each of the steps is later"),
        ('steps = [{ at = "1s", los = "1%" }]', "step 1: there is no word 'los' here\n  try: loss"),
        ('steps = [{ at = "1s", steps = [] }]', "step 1: there is no word 'steps' here"),
        ('repeat = "1s"\nsteps = [{ at = "2s" }]', "all of them before it"),
        ("delay = ", "profile test: this is not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(words, said):
    assert said in complaint(words)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[both]", "profile x: title is missing"),
        ('title = "t"\n[both]', "profile x: source is missing"),
        ('title = ""\nsource = "s"\n[both]', "profile x: title: '' is not text in quotes"),
        (HEAD, "profile x: [up] is missing"),
        (HEAD + "[up]", "profile x: [down] is missing"),
        (HEAD + "[both]\n[upp]", "profile x: there is no word 'upp' here\n  try: up"),
        (HEAD + 'both = "lan"', "profile x: both: 'lan' is not a table"),
        (HEAD + '[both]\n[down]\nloss = "x"', "profile x: [down] loss: 'x' is not a number"),
    ],
)
def test_what_a_file_lacks_is_named(text, said):
    with pytest.raises(BadInput) as caught:
        parse_profile(text, "x")
    assert said in str(caught.value)


@pytest.mark.parametrize("field", ["loss", "duplicate", "corrupt", "delay_correlation"])
@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_spec_made_in_a_notebook_is_checked_too(field, value):
    with pytest.raises(BadInput, match="between 0 and 1"):
        LinkSpec(**{field: value})


def test_time_does_not_run_backwards_in_a_spec():
    with pytest.raises(BadInput, match="less than 0"):
        LinkSpec(delay=-1)


# --- shipped profiles ----------------------------------------------------------------------------

ISSUED = (
    "lan wifi wifi-busy 4g train dsl-bufferbloat satellite transatlantic voip-5 voip-10 cut clear"
)


def test_the_shipped_profiles_are_there():
    assert set(profile_names()) == set(ISSUED.split())


@pytest.mark.parametrize("name", ISSUED.split())
def test_each_says_in_a_line_what_it_stands_for_and_where_its_figures_come_from(name):
    profile = load_profile(name)
    for text in (profile.title, profile.source):
        assert "\n" not in text
        assert len(text) > 25
    assert profile.name == name


def test_voip_10_is_the_line_of_which_the_course_speaks():
    up = load_profile("voip-10").up
    assert (up.loss, up.jitter) == (0.1, ms(30))


def test_cut_is_down_for_three_seconds_and_then_well_again():
    up = load_profile("cut").up
    assert up.at(seconds(4.9)) == up.at(seconds(8)) == up.at(seconds(1000))
    assert up.at(seconds(5)).loss == up.at(seconds(7.9)).loss == 1


# --- tc ------------------------------------------------------------------------------------------


def test_everything_that_netem_knows_in_its_own_words():
    spec = LinkSpec(
        delay=ms(40),
        jitter=ms(10),
        distribution="normal",
        delay_correlation=0.25,
        loss=0.01,
        loss_correlation=0.3,
        duplicate=0.02,
        reorder=Reorder(0.25, 0.5, 5),
        corrupt=0.001,
        rate=2_000_000,
        packet_overhead=10,
        limit=100,
        slot=Slot(ms(5), ms(20), 8, 9000),
    )
    assert " ".join(tc_arguments(spec)) == (
        "delay 40ms 10ms 25% distribution normal loss random 1% 30% duplicate 2% corrupt 0.1% "
        "reorder 25% 50% gap 5 rate 2mbit -4 slot 5ms 20ms packets 8 bytes 9000 limit 100"
    )


def test_gemodel_and_nothing():
    spec = LinkSpec(gemodel=GilbertElliott(0.01, 0.3, 0.9, 0.001))
    assert " ".join(tc_arguments(spec)) == "loss gemodel 1% 30% 90% 0.1% limit 1000"
    assert tc_arguments(LinkSpec()) == ["limit", "1000"]


def test_the_rate_counts_ip_packets_whatever_the_device_puts_before_them():
    spec = LinkSpec(rate=64_000)
    assert tc_arguments(spec)[:3] == ["rate", "64kbit", "-14"]
    assert tc_arguments(spec, link_header=0)[:3] == ["rate", "64kbit", "0"]


@pytest.mark.parametrize(
    "part", [{"steps": (Step(1, LinkSpec()),)}, {"delay_trace": "spikes", "delay": 1}]
)
def test_what_tc_cannot_express_is_named(part):
    with pytest.raises(BadInput, match=f"cannot express {next(iter(part))}"):
        tc_arguments(LinkSpec(**part))


def test_steps_are_a_line_for_each_moment():
    steps = (Step(ms(500), LinkSpec(delay=ms(2))), Step(seconds(1), LinkSpec(loss=1.0)))
    assert [(at, " ".join(words)) for at, words in tc_steps(LinkSpec(steps=steps))] == [
        (0, "limit 1000"),
        (ms(500), "delay 2ms limit 1000"),
        (seconds(1), "loss random 100% limit 1000"),
    ]


@pytest.mark.parametrize(
    ("part", "word"),
    [
        ({"delay": 9, "jitter": 5, "distribution": "normal"}, "distribution"),
        ({"corrupt": 0.1}, "corrupt"),
        ({"rate": 64_000}, "rate"),
        ({"slot": Slot(1, 2)}, "slot"),
    ],
)
def test_what_a_change_would_leave_in_place_cannot_end_with_a_step(part, word):
    spec = LinkSpec(**part, steps=(Step(seconds(2), LinkSpec()),))
    with pytest.raises(BadInput, match=f"keeps the {word}, which ends after 2s"):
        tc_steps(spec)


@pytest.mark.peer
@pytest.mark.parametrize("name", ISSUED.split())
def test_tc_understands_every_shipped_profile(need, name):
    """The device does not exist, and tc finds that out after it has read the rest of the line."""
    need("tc")
    for spec in (load_profile(name).up, load_profile(name).down):
        for _, words in tc_steps(spec):
            assert tc_says(words) == 'Cannot find device "labkit-none"'


@pytest.mark.peer
def test_tc_would_have_complained_about_a_wrong_word(need):
    """The test above can fail."""
    need("tc")
    assert tc_says(["delai", "3ms"]).startswith('What is "delai"?')
    assert "reordering not possible" in tc_says(["reorder", "5%"])


def tc_says(arguments: list[str]) -> str:
    line = ["tc", "qdisc", "add", "dev", "labkit-none", "root", "netem", *arguments]
    return subprocess.run(line, capture_output=True, text=True).stderr.strip()
