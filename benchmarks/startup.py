"""How long until something happens: `import labkit`, and the help of the commands.

Against Python itself, in turns, so that a busy machine is busy for all of them. A first round is
thrown away: it compiles and fills the caches.

    python benchmarks/startup.py
"""

import statistics
import subprocess
import sys
import time

ROUNDS = 20
PYTHON = "python -c pass"
COMMANDS = {
    PYTHON: ["-c", "pass"],
    "import labkit": ["-c", "import labkit"],
    "import numpy": ["-c", "import numpy"],
    "labkit --help": ["-c", "import labkit.cli.labkit as c; c.main(['--help'])"],
    "streamer --help": ["-c", "import labkit.cli.streamer as c; c.main(['--help'])"],
    "receiver --help": ["-c", "import labkit.cli.receiver as c; c.main(['--help'])"],
}


def took(arguments: list[str]) -> float:
    """Milliseconds of one start."""
    start = time.perf_counter()
    command = [sys.executable, *arguments]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - start) * 1000


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS + 1):
        for name, arguments in COMMANDS.items():
            times[name].append(took(arguments))
    median = {name: statistics.median(measured[1:]) for name, measured in times.items()}
    print(f"{'':<18}{'ms':>7}{'beyond Python':>16}{'ratio':>8}")
    for name, middle in median.items():
        beyond, ratio = middle - median[PYTHON], middle / median[PYTHON]
        print(f"{name:<18}{middle:>7.1f}{beyond:>16.1f}{ratio:>8.2f}")


if __name__ == "__main__":
    main()
