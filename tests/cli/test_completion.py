"""What the shell completes, asked of a real bash."""

import subprocess
import sys

import pytest

from labkit.cli.completion import SHELLS


def script(shell):
    made = subprocess.run(
        [sys.executable, "-c", "from labkit.cli.labkit import main; main()", "completion", shell],
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout


def completed(line, tmp_path):
    """What bash offers after pressing the tabulator at the end of `line`."""
    words = line.split(" ")
    (tmp_path / "completion").write_text(script("bash"))
    asked = f"""
        source {tmp_path}/completion
        COMP_WORDS=({" ".join(repr(word) for word in words)})
        COMP_CWORD={len(words) - 1}
        _shtab_{words[0]} {words[0]} {words[-1]!r} {words[-2]!r} 2>/dev/null
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    told = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=False)
    return set(told.stdout.split())


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("labkit d", {"doctor", "demo"}),
        ("streamer s", {"serve"}),
        ("streamer serve --pro", {"--proto"}),
        ("streamer serve --proto t", {"tcp"}),
        ("receiver connect --adapt", {"--adaptive"}),
    ],
)
def test_bash_completes_our_commands(line, offered, tmp_path):
    assert completed(line, tmp_path) == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_a_script_for_all_three_commands(shell):
    text = script(shell)
    assert all(name in text for name in ("labkit", "streamer", "receiver"))
