"""What RTCP said, beside the packets: the last report tells what the packets tell."""

import pytest

from labkit.codec import Pcmu
from labkit.lab.call import Call
from labkit.lab.captures import capture
from labkit.lab.reportlab import ReportLab
from labkit.lab.reports import arrived, compounds, reports
from labkit.lab.sources import speech
from labkit.lab.traffic import Traffic
from labkit.words.errors import BadInput
from labkit.words.units import seconds


@pytest.fixture(scope="module")
def call():
    """Five seconds with a report in each."""
    return Call(speech(5), codec=Pcmu(), link="voip-5", seed=7, rtcp_interval=seconds(1)).simulate(
        capture=True
    )


def test_every_report_of_a_call_is_told(call):
    found = reports(arrived(call))
    ours = [report for report in call.reports if report.ours]
    assert [block.cumulative_lost for _, block in found.blocks] == [
        report.cumulative_lost for report in ours
    ][: len(found.blocks)]
    assert len(found.blocks) >= 4
    text = str(found)
    assert "SR: " in text
    assert "RR: " in text
    assert "nothing has come yet" in text  # the greeting
    assert f"{ours[0].cumulative_lost} in all, jitter" in text
    assert text.splitlines()[-1].endswith("BYE")


def test_the_picture_says_what_the_last_one_said(call):
    found = reports(call)
    picture = found.show()
    last = found.blocks[-1][1]
    assert f"{len(found.blocks)} reports" in picture.alt
    assert f"{last.cumulative_lost} packets lost" in picture.alt
    assert picture.png().startswith(b"\x89PNG")


def test_a_shipped_capture_agrees_with_itself():
    """What the listener reported is what the packets up to then say: A.3, from the capture."""
    traffic = capture("07_rtp_rtcp")
    found = reports(traffic)
    now, block = found.blocks[-1]
    came = [packet.seq for packet in traffic.voices[0].arrived if packet.now <= now]
    assert block.highest_seq & 0xFFFF == max(came) & 0xFFFF
    assert block.cumulative_lost == max(came) - min(came) + 1 - len(came)
    assert all(data[1] in range(200, 204) for data in compounds(traffic))


def test_a_call_that_was_not_captured_and_one_without_reports(call):
    with pytest.raises(BadInput, match="capture=True"):
        arrived(Call(speech(0.5), codec=Pcmu()).simulate())
    with pytest.raises(BadInput, match="nobody reported"):
        reports(Traffic(arrived(call).packets[:5])).show()


def test_sliders():
    lab = ReportLab(speech(3))
    before, picture = lab.reports.blocks[-1][1], lab.picture.value
    lab.loss.value = 20
    after = lab.reports.blocks[-1][1]
    assert after.cumulative_lost > before.cumulative_lost
    assert lab.picture.value != picture
    lab.copies.value = 30
    assert lab.reports.blocks[-1][1].cumulative_lost < after.cumulative_lost
    assert bytes(lab.sound.value).startswith(b"fLaC")
