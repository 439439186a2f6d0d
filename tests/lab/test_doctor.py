"""The doctor: on this machine as it is, and on machines that we do not have.

What programs say on those machines is given literally, as real ones have said it.
"""

import os
import re
import socket
import subprocess
import sys
import threading

import pytest

from labkit.lab import doctor
from labkit.lab.doctor import Capability, Report, Status, network, programs, remedies, sound, trial
from labkit.lab.doctor.remedies import PACKAGES, System
from labkit.lab.doctor.trial import Ran, run

DEBIAN = System("linux", "apt")
MAC = System("darwin", "brew")
WINDOWS = System("win32", "winget")


@pytest.fixture
def on(monkeypatch):
    """Do as if this were another system."""

    def be(system, distribution="debian"):
        for module in (network, programs, sound):
            monkeypatch.setattr(module, "this_system", lambda: system)
        monkeypatch.setattr(network, "distribution", lambda: distribution)

    return be


def says(monkeypatch, module, code, output):
    """Every program that this module runs ends like this."""
    monkeypatch.setattr(module, "run", lambda *command: Ran(code, output))


# This machine -----------------------------------------------------------------------------------


def test_every_subject_is_answered_with_a_use_and_with_a_remedy_when_it_is_not_well():
    """Nothing is left out, and nothing missing is left without the next step."""
    found = doctor.examine()
    names = [c.name for c in found]
    assert len(names) == len(set(names)) == len(doctor.TRIALS) + 1  # speaker and microphone
    for c in found:
        assert c.found
        assert c.use
        assert bool(c.remedy) == (c.status is not Status.OK)
        assert "trial failed" not in c.found


def test_python_and_libopus_are_here():
    """Or no test of ours would run: the two that decide the exit code."""
    by_name = {c.name: c for c in doctor.examine()}
    assert by_name["Python"].found.startswith(".".join(map(str, sys.version_info[:3])))
    assert by_name["libopus"].status is Status.OK


def test_what_it_says_of_tshark_is_what_tshark_says(need):
    """The version is the program's own."""
    need("tshark")
    said = subprocess.run(["tshark", "--version"], capture_output=True, text=True, check=True)
    assert programs.tshark().found in said.stdout


@pytest.mark.sound
def test_a_sound_server_is_found_although_python_started_without_it(pulse, monkeypatch):
    """PortAudio is asked in a process of its own, with the environment of now."""
    monkeypatch.setattr(os, "environ", pulse.env)
    assert [c.status for c in sound.devices()] == [Status.OK, Status.OK]


def command(env=()):
    """Run it as the command does: exit code and output."""
    code = "import sys; from labkit.lab.doctor import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | dict(env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    return done.returncode, done.stdout


def test_the_exit_code_is_0_when_the_course_can_run():
    """A missing sound card or tshark is no reason to fail."""
    code, text = command({"PATH": "/nonexistent"})
    assert code == 0
    assert "The course runs." in text


def test_without_libopus_the_exit_code_is_1_and_the_remedy_is_there():
    """The one library without which there is no course."""
    code, text = command({"LABKIT_LIBOPUS": "none"})
    assert code == 1
    assert re.search(r"missing +libopus", text)
    assert "try: unset LABKIT_LIBOPUS" in text
    assert "cannot run here yet" in text


# Its own behaviour ------------------------------------------------------------------------------


def test_trials_run_at_once(monkeypatch):
    """Four trials that wait for each other only end together."""
    gate = threading.Barrier(4, timeout=10)

    def waits():
        gate.wait()
        return Capability("gate", Status.OK, "open", "nothing")

    monkeypatch.setattr(doctor, "TRIALS", (waits,) * 4)
    assert [c.found for c in doctor.examine()] == ["open"] * 4


def test_a_trial_that_breaks_is_reported_and_the_others_go_on(monkeypatch):
    """The doctor never raises."""

    def broken_thing():
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(doctor, "TRIALS", (broken_thing, programs.python))
    first, second = doctor.examine()
    assert first.name == "broken thing"
    assert "ZeroDivisionError" in first.found
    assert second.name == "Python"


def test_a_program_that_hangs_is_given_up(monkeypatch):
    """The limit holds, and the answer says that there was none."""
    monkeypatch.setattr(trial, "LIMIT", 0.1)
    code, output = run(sys.executable, "-c", "import time; time.sleep(60)")
    assert code is None
    assert "no answer" in output


def test_a_program_that_is_not_there_is_no_error():
    """Its absence is the answer."""
    assert run("no-such-program-of-labkit").code is None


def test_a_report_is_text_and_a_table():
    """In the notebook angle brackets of a device name stay letters."""
    report = Report([Capability("speaker", Status.MISSING, "<none>", "hearing", "plug one in")])
    assert re.search(r"missing +speaker +<none>\n +for hearing\n +try: plug one in", str(report))
    assert "&lt;none&gt;" in report._repr_html_()
    assert "<none>" not in report._repr_html_()
    assert report.can_run
    assert "Not or not quite here: speaker" in report.verdict


# Other machines ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "output", "found", "remedy"),
    [
        (0, "", "added to a loopback of our own", ""),
        (2, "Error: Specified qdisc kind is unknown.\n", "this kernel has no sch_netem", "kernel"),
        (2, "RTNETLINK answers: No such file or directory\n", "this kernel has no", "kernel"),
        (2, "RTNETLINK answers: Operation not permitted\n", "not without root here", "sudo"),
        (1, "unshare: unshare failed: Operation not permitted\n", "not without root", "sudo"),
        (127, "unshare: failed to execute tc: No such file or directory\n", "tc", "iproute2"),
    ],
)
def test_no_kernel_module_and_no_rights_are_told_apart(
    monkeypatch, on, code, output, found, remedy
):
    """netem is missing for different reasons, with different remedies."""
    on(DEBIAN)
    says(monkeypatch, network, code, output)
    answer = network.netem()
    assert found in answer.found
    assert remedy in answer.remedy


def test_the_module_of_ubuntu_is_in_a_package_of_its_own(monkeypatch, on):
    """With the release of the running kernel in its name."""
    on(DEBIAN, "ubuntu")
    says(monkeypatch, network, 2, "Error: Specified qdisc kind is unknown.")
    monkeypatch.setattr(network.platform, "release", lambda: "6.8.0-1-generic")
    remedy = network.netem().remedy
    assert remedy == "sudo apt-get install linux-modules-extra-6.8.0-1-generic"


@pytest.mark.parametrize(
    ("setting", "value", "remedy"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "restrict_unprivileged_userns=0"),
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
        ("user/max_user_namespaces", "7000", "docker"),
    ],
)
def test_the_setting_that_forbids_namespaces_is_named(
    monkeypatch, on, tmp_path, setting, value, remedy
):
    """Three systems forbid them in three ways; a container in a fourth."""
    on(DEBIAN)
    (tmp_path / setting).parent.mkdir()
    (tmp_path / setting).write_text(f"{value}\n")
    monkeypatch.setattr(network.support, "SYSCTL", tmp_path)
    says(monkeypatch, network, 2, "RTNETLINK answers: Operation not permitted\n")
    answer = network.namespaces()
    assert answer.status is Status.MISSING
    assert remedy in answer.remedy


@pytest.mark.parametrize("system", [DEBIAN, MAC, WINDOWS])
def test_those_who_may_not_capture_are_told_how(monkeypatch, on, system):
    """The words of dumpcap without rights; each system grants them in its own way."""
    on(system)
    says(monkeypatch, programs, 2, "dumpcap: The capabilities of the capture device ...")
    monkeypatch.setattr(programs, "_in_group", lambda name: False)
    ways = {"linux": "usermod -aG wireshark", "darwin": "ChmodBPF", "win32": "Npcap"}
    assert ways[system.platform] in programs.capture_rights().remedy


def test_a_new_member_of_the_group_has_to_log_in_again(monkeypatch, on):
    """The commonest trap after following the remedy."""
    on(DEBIAN)
    says(monkeypatch, programs, 2, "dumpcap: ...")
    monkeypatch.setattr(programs, "_in_group", lambda name: True)
    assert "log out" in programs.capture_rights().remedy


@pytest.mark.parametrize("system", [MAC, WINDOWS])
def test_what_only_linux_has_is_said_without_trying(monkeypatch, on, system):
    """No `unshare` is run where there can be none."""
    on(system)
    monkeypatch.delattr(network, "run")
    for examine in (network.namespaces, network.tun, network.netem, network.bubblewrap):
        answer = examine()
        assert "only Linux" in answer.found
        assert "wsl --install" in answer.remedy or "virtual machine" in answer.remedy


def test_a_port_in_use_is_found(monkeypatch):
    """The port of the examples belongs to somebody else: AirPlay on a Mac."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setattr(network, "PORT_OF_THE_EXAMPLES", other.getsockname()[1])
        answer = network.port()
    assert answer.status is Status.LIMITED
    assert answer.found.startswith("TCP: ")
    assert "--port" in answer.remedy


def test_a_coarse_clock_is_found(monkeypatch):
    """Windows before Python 3.13."""
    coarse = type(programs.time.get_clock_info("monotonic"))(resolution=0.0156)
    monkeypatch.setattr(programs.time, "get_clock_info", lambda name: coarse)
    answer = programs.python()
    assert answer.status is Status.LIMITED
    assert "every 16 ms" in answer.found


def test_an_ffmpeg_without_libopus_is_limited(monkeypatch):
    """It is there, and does not do what it is for."""
    says(monkeypatch, programs, 0, "ffmpeg version 7.1 Copyright\nconfiguration: --enable-gpl\n")
    assert programs.ffmpeg().status is Status.LIMITED
    says(monkeypatch, programs, 0, "ffmpeg version 7.1 Copyright\nconfig: --enable-libopus\n")
    assert programs.ffmpeg() == programs.FFMPEG.ok("7.1")


@pytest.mark.parametrize("manager", ["apt", "dnf", "pacman", "brew", "winget", ""])
def test_every_system_has_a_word_for_every_part(manager):
    """A command where we know one, and a sentence where not."""
    system = System("linux", manager)
    for part in PACKAGES:
        assert "install" in system.install(part) or "pacman -S" in system.install(part)
    assert remedies.describe()
