"""`check` as a notebook calls it: it answers, whatever it is given, and its card can be read."""

import json
import subprocess
import time

import pytest
from wrong_answers import week01, week06
from wrong_answers.wrong import solution

import labkit
from labkit.checks import progress
from labkit.checks.check import check
from labkit.checks.report import Report
from labkit.words.errors import BadInput


def divide(seq, ts, payload):
    return seq / 0


def test_it_is_a_public_name():
    assert labkit.check is check


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("01.9",), "there is no exercise '01.9'"),
        ((1,), "there is no exercise '1'"),
        (("",), "there is no exercise ''"),
        (("01.1", 1, 2, 3), "3 things were given; wanted are pack, unpack."),
    ],
)
def test_what_cannot_be_checked_is_a_card_that_says_why(given, said):
    report = check(*given)
    assert not report
    assert report.points == 0
    assert said in str(report)
    assert "not checked" in report._repr_html_()


def test_a_part_that_there_is_not():
    assert "one of layout, back, edges" in str(check("01.1", divide, only="nothing"))


@pytest.mark.parametrize("given", [(), (7,), (None, None), (object(), type), ("pack", b"")])
def test_it_never_raises(given):
    report = check("01.1", *given)
    assert report.points == 0
    assert {part.finding.name for part in report.parts} <= {"missing", "unfit"}


def test_the_students_own_line_is_shown_and_no_other():
    report = check("01.1", divide)
    assert "ZeroDivisionError: division by zero" in str(report)
    assert ": return seq / 0" in str(report)
    assert "Traceback" not in str(report)
    assert "subject.py" not in report._repr_html_()


def test_nothing_of_a_student_is_html():
    def script(seq, ts, payload):
        print("<script>alert(1)</script>")
        raise ValueError("<script>alert(2)</script>")

    html = check("01.1", script)._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;alert(2)" in html
    assert "&lt;script&gt;alert(1)" in html


def test_the_seed_decides_the_inputs(monkeypatch):
    first, second = check("01.1", divide), check("01.1", divide, seed=5)
    assert first.seed == 2026
    assert first.parts[0].steps != second.parts[0].steps
    assert check("01.1", divide, seed=5) == second
    monkeypatch.setenv("LABKIT_SEED", "5")
    assert check("01.1", divide) == second


def test_a_number_for_nbgrader_and_words_for_people(monkeypatch):
    report = check("01.1", divide)
    assert repr(report).startswith("01.1  Pack and unpack")
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert float(repr(report)) == 0.0


def test_a_check_answers_in_under_a_second():
    names = solution(6)
    begun = time.process_time()
    report = check("06.3", names["MyPolicy"])
    assert report.passed
    assert time.process_time() - begun < 1


# Pictures and captures ---------------------------------------------------------------------------


def test_a_failed_run_has_a_picture_and_its_packets(tmp_path, need):
    need("tshark")
    report = check("06.1", week06.PlaysTheLate, only="late")
    picture = report.show()
    assert "it plays" in picture.alt
    assert picture.png().startswith(b"\x89PNG")
    path = report.save_pcapng(tmp_path / "late.pcapng")
    command = ["tshark", "-r", str(path), "-T", "fields", "-e", "frame.comment", "-e", "udp.length"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    arrivals = report.parts[0].drawing["arrivals"]
    assert len(out.splitlines()) == len(arrivals)
    assert "late" in out
    assert "its packets, for Wireshark" in report._repr_html_()


def test_wrong_bytes_stand_under_the_right_ones():
    little = week01.packer("<BBHII", *week01.FIELDS)
    report = check("01.1", little, only="layout")
    assert report.show().alt == "bytes that differ: 2, 3, 4, 5, 6, 7, 8, 11"
    assert "image/png" in report._repr_html_()
    assert "for Wireshark" not in report._repr_html_()


def test_the_policys_picture_is_the_frontier():
    solved = check("06.3", solution(6)["MyPolicy"], only="score")
    assert "yours" in solved.show().alt, "also of who has full marks"
    assert "picture</summary>" in solved._repr_html_()
    report = check("06.3", week06.FourJitters, only="score")
    assert "yours" in report.show().alt
    with pytest.raises(BadInput, match="no picture"):
        report.show("calm")


def test_a_card_is_one_piece_of_html_in_the_colours_of_its_page():
    html = check("06.1", week06.MovesUp)._repr_html_()
    assert html.count("<div") == html.count("</div>")
    assert html.count("<details") == html.count("</details>")
    assert html.count("<details open") == 1, "the first that failed; the others are folded"
    assert "--jp-content-font-color1" in html


def test_that_nothing_is_written_is_said_once(home):
    names = solution(1)
    said = str(check("01.2", unwritten, unwritten, unwritten))
    assert said.count("Nothing is written here yet") == 1
    assert said.count("0 of 1") == 3
    said = str(check("01.2", unwritten, names["bitrate"], unwritten))
    assert said.count("Nothing is written here yet") == 1


# Progress ----------------------------------------------------------------------------------------


def unwritten(*_):
    raise NotImplementedError


def test_only_what_was_written_counts(home):
    check("01.2", unwritten, unwritten, unwritten)
    assert progress.read() == {}
    check("01.2", lambda *_: 1)
    check("01.2", lambda *_: 1, only="bitrate")
    (one,) = progress.read().values()
    assert (one.checks, one.points, one.attempted) == (1, 0, False)
    check("01.2", lambda *_: 1)
    check("01.2", lambda *_: 1)
    assert progress.read()["01.2"].attempted, "three times is an honest attempt"


def test_the_best_result_stays(home):
    names = solution(1)
    check("01.2", names["frame_bytes"], names["bitrate"], names["line_rate"])
    check("01.2", lambda *_: 1)
    assert progress.read()["01.2"].points == 3


@pytest.mark.parametrize("text", ["", "[]", "7", '{"01.2": 7}', '{"01.2": {"x": 1}}', "\x00"])
def test_a_file_that_cannot_be_read_counts_as_nothing(home, text):
    home.mkdir()
    (home / "progress.json").write_text(text)
    assert progress.read() == {}
    check("01.2", lambda *_: 1)
    assert progress.read()["01.2"].checks == 1


def test_where_nothing_can_be_written_nothing_is(home):
    home.write_text("a file, where a folder should be")
    assert check("01.2", lambda *_: 1).points == 0


def test_a_report_survives_json():
    report = check("06.3", week06.FourJitters)
    back = Report.from_dict(json.loads(json.dumps(report.as_dict())))
    assert str(back) == str(report)
    assert back.show().alt == report.show().alt
