"""What a machine lacks is said, and the lab goes on; a mistake stays one."""

import pytest

from labkit import if_possible
from labkit.words.errors import BadInput, MissingCapability


def test_what_is_missing_is_said_with_its_remedy(capsys):
    with if_possible():
        raise MissingCapability("tshark is not installed", "install it")
    assert (
        capsys.readouterr().out == "Skipped: tshark is not installed\n  to see this, install it\n"
    )


def test_an_error_is_not_hidden():
    with pytest.raises(BadInput), if_possible():
        raise BadInput("wrong")


def test_a_block_that_works_says_nothing(capsys):
    with if_possible():
        pass
    assert not capsys.readouterr().out
