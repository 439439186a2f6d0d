"""Week 6, solved by people who never met: the same exercises, other heads."""

ANN = {
    "buffer": """
class FixedBuffer:
    def __init__(self, delay):
        self.delay = delay
        self.packets = {}
        self.next = None
        self.due = None

    def __len__(self):
        return len(self.packets)

    def push(self, packet, now):
        if self.due is None:
            self.due = now + self.delay
            self.next = packet.seq
        late = ahead16(packet.seq, self.next) < 0
        if not late:
            self.packets.setdefault(packet.seq, packet)

    def pull(self, now):
        if self.due is None or self.due > now:
            return None
        turn, self.next = self.next, add16(self.next, 1)
        return self.packets.pop(turn) if turn in self.packets else None
""",
    "network": """
def jitter(transits):
    j = 0
    last = None
    for t in transits:
        if last is not None:
            d = abs(t - last)
            j = j + (d - j) / 16
        last = t
    return j

def delay_needed(transits, percent):
    ordered = sorted(t - min(transits) for t in transits)
    keep = round(len(ordered) * (100 - percent) / 100)
    return ordered[keep - 1]
""",
    "policy": """
class MyPolicy:
    def __init__(self):
        self.window = []
        self.count = 0

    def observe(self, transit, now):
        self.window.append((now, transit))
        while self.window and self.window[0][0] < now - 5_000_000_000:
            self.window.pop(0)

    def target(self):
        values = sorted(t for _, t in self.window)
        index = min(len(values) - 1, int(0.98 * len(values)))
        return values[index] + ms(10)
""",
}
BO = {
    "buffer": """
class FixedBuffer:
    def __init__(self, delay):
        self.delay = delay
        self.packets = {}
        self.next = None
        self.due = None
        self.started = False
        self.waiting = []

    def __len__(self):
        return len(self.waiting)

    def push(self, packet, now):
        if not self.started:
            self.started = True
            self.start = now
            self.expected = packet.seq
        distance = ahead16(packet.seq, self.expected)
        if distance < 0:
            return
        for other in self.waiting:
            if other.seq == packet.seq:
                return
        self.waiting.append(packet)

    def pull(self, now):
        if now - self.start < self.delay:
            return
        found = None
        for candidate in self.waiting:
            if candidate.seq == self.expected:
                found = candidate
        if found:
            self.waiting.remove(found)
        self.expected = add16(self.expected, 1)
        return found
""",
    "network": """
import numpy as np

def jitter(transits):
    steps = np.abs(np.diff(transits))
    value = 0.0
    for step in steps:
        value = value * 15 / 16 + step / 16
    return float(value)

def delay_needed(transits, percent):
    relative = np.array(transits) - np.min(transits)
    return float(np.quantile(relative, 1 - percent / 100))
""",
    "policy": """
class MyPolicy:
    mean = None
    spread = 0

    def observe(self, transit, now):
        if self.mean is None:
            self.mean = transit
        error = transit - self.mean
        self.mean += error * 0.01
        self.spread += (abs(error) - self.spread) * 0.02

    def target(self):
        return int(self.mean + 4 * self.spread)
""",
}
CY = {
    "buffer": """
class FixedBuffer:
    def __init__(self, delay):
        self.delay = delay
        self.packets = {}
        self.next = None
        self.due = None
        self.heap = {}

    def __len__(self):
        return sum(1 for p in self.heap.values() if p)

    def push(self, packet, now):
        match self.due:
            case None:
                self.due, self.next = now + self.delay, packet.seq
        if ahead16(packet.seq, self.next) < 0:
            return "too late"
        self.heap[packet.seq] = packet

    def pull(self, now):
        try:
            if now < self.due:
                return None
        except TypeError:
            return None
        result = self.heap.get(self.next)
        if result is not None:
            del self.heap[self.next]
        self.next = (self.next + 1) & 0xFFFF
        return result
""",
    "network": """
def jitter(transits):
    if len(transits) < 2:
        return 0
    *before, a, b = transits
    rest = jitter([*before, a])
    return rest + (abs(a - b) - rest) / 16

def delay_needed(transits, percent):
    base = min(transits)
    for wait in sorted(set(transits)):
        late = [t for t in transits if t > wait]
        if 100 * len(late) <= percent * len(transits):
            return wait - base
""",
    "policy": """
class MyPolicy:
    def __init__(self):
        self.peak = None
        self.low = None

    def observe(self, transit, now):
        if self.peak is None or transit > self.peak:
            self.peak = transit
        else:
            self.peak -= (self.peak - transit) // 300
        self.low = transit if self.low is None else min(self.low, transit)

    def target(self):
        return max(self.peak, self.low + ms(20))
""",
}
HONEST = {"ann": ANN, "bo": BO, "cy": CY}
