"""Two hosts with a kernel each: a cut is survived by TCP, a death by the listener."""

import pytest

from labkit.lab.twohosts import two_hosts


@pytest.mark.net
@pytest.mark.live
def test_a_cut_and_a_restart_are_survived(tmp_path):
    hosts = two_hosts(tmp_path / "hosts.pcapng", cut=0.3)
    first, second = hosts.joined
    begun, ended = hosts.cut
    assert 0.25 < ended - begun < hosts.silence
    assert any(s.repeated for s in first.sent(by_client=False)), "TCP made the cut good"
    assert first.stream(by_client=False).startswith(b"\x01\x02"), "the capture shows the framing"
    assert second.segments[0].now > first.segments[-1].now
    assert sum("joined" in line for line in hosts.said) == 2
    assert hosts.heard > 1
    assert "the server is killed" in str(hosts)
