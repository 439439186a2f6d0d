"""`labkit captures` and `labkit capture`, as somebody types them."""

import pytest

from labkit.cli.labkit import main
from labkit.lab.captures import manifest


def test_list_has_a_line_for_each(capsys):
    assert main(["captures", "list"]) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()] == list(manifest())


def test_list_says_everything_about_one(capsys):
    """What it shows, the programs that made it, the network, the questions."""
    assert main(["captures", "list", "04_rst"]) == 0
    said = capsys.readouterr().out
    assert "An end without manners" in said
    assert "alice: streamer serve --proto tcp" in said
    assert "seed 4" in said
    assert "? In which packet" in said


@pytest.mark.peer
def test_verify_says_that_all_is_well(need, capsys):
    need("tshark")
    assert main(["captures", "verify", "04_rst"]) == 0
    assert "all is as the manifest says" in capsys.readouterr().out


def test_a_name_that_is_none_is_told_with_those_that_are(capsys):
    assert main(["capture", "44_nothing"]) == 2
    said = capsys.readouterr().err
    assert "there is no capture called '44_nothing'" in said
    assert "04_zero_window" in said
