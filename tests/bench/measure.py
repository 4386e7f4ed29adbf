"""Numbers and what to think of them: CPU clocks, pairs, intervals, the table.

The method is section 5.3 of the performance specification: ours and the peer
in turn (A B, B A, A B, ...), the median of the pairs' ratios with a bootstrap
95 % interval, pairs disturbed by the hypervisor dropped.
"""

import contextlib
import os
import random
import signal
import statistics
import subprocess

SERVER_CORE, LOAD_CORE = 0, 1
STEAL_MAX = 2.0         # percent of the pair's time
TICK = os.sysconf("SC_CLK_TCK")


def on_core(core, argv):
    """The command, pinned, where there are two cores to choose from."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[min(core, len(cores) - 1)])] + argv


def run(argv, core=LOAD_CORE, env=None):
    """Run a load generator to its end; its standard output."""
    proc = subprocess.Popen(on_core(core, argv), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=dict(os.environ, **(env or {})), text=True,
                            start_new_session=True)
    try:
        out, err = proc.communicate()
    finally:
        # Only what an interrupted run left behind is still there.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(proc.pid, signal.SIGKILL)
        proc.wait()
    if proc.returncode != 0:
        raise RuntimeError("%s: exit status %d: %s" % (
            " ".join(argv), proc.returncode, err.strip()[-500:]))
    return out


def cpu_seconds(pid):
    """User and system time of a process, its children, and theirs."""
    total = 0.0
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    total += sum(int(n) for n in fields[11:15]) / TICK
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/children" % (pid, task)) as f:
            for child in f.read().split():
                try:
                    total += cpu_seconds(int(child))
                except OSError:
                    pass        # gone: now in our child time, or lost
    return total


class Disturbance:
    """Time the hypervisor took from us, in percent, since the start."""

    def __init__(self):
        self.before = self._read()

    @staticmethod
    def _read():
        with open("/proc/stat") as f:
            fields = [int(n) for n in f.readline().split()[1:9]]
        return fields[7], sum(fields)

    def percent(self):
        steal, total = self._read()
        return 100.0 * (steal - self.before[0]) / max(1, total - self.before[1])


def interval(values, rounds=4000):
    """Median and its bootstrap 95 % interval."""
    values = sorted(values)
    middle = statistics.median(values)
    dice = random.Random(1)
    medians = sorted(statistics.median(dice.choices(values, k=len(values)))
                     for _ in range(rounds))
    return middle, medians[rounds // 40], medians[rounds - 1 - rounds // 40]


def pairs_at_once(count, straight, swapped):
    """Results of count undisturbed runs that measure both sides, and how many
    were dropped; every second time in the other order."""
    kept, dropped = [], 0
    while len(kept) < count and dropped <= count:
        watch = Disturbance()
        result = (swapped if len(kept) % 2 else straight)()
        if watch.percent() > STEAL_MAX:
            dropped += 1
        else:
            kept.append(result)
    if not kept:
        raise RuntimeError("every pair was disturbed: steal above %g %%"
                           % STEAL_MAX)
    return kept, dropped


def pairs(count, ours, peer):
    """[(a, b)] of runs one after the other, and how many were dropped."""
    def straight():
        a = ours()
        return a, peer()

    def swapped():
        b = peer()
        return ours(), b

    return pairs_at_once(count, straight, swapped)


def shown(value, unit=""):
    if value >= 100:
        text = "{:,.0f}".format(value).replace(",", " ")
    else:
        text = "%.3g" % value
    return text + (" " + unit if unit else "")


class Row:
    """One line of the table.

    floor and aim bound the ratio ours/peer (or, with no peer, the value);
    lower=True: less is better, so they are upper bounds.  Neither: a fact.
    """

    def __init__(self, name, unit="", floor=None, aim=None, lower=False,
                 bound=""):
        self.name, self.unit, self.lower = name, unit, lower
        self.floor, self.aim = floor, aim
        self.bound = bound          # unit of floor and aim
        self.ours = self.peer = self.ratio = ""
        self.range = None           # (middle, low, high) of what is bounded

    def of_pairs(self, measured):
        kept, dropped = measured
        self.ours = shown(statistics.median(a for a, _ in kept), self.unit)
        self.peer = shown(statistics.median(b for _, b in kept), self.unit)
        self.range = interval([a / b for a, b in kept])
        self.ratio = "%.2fx (%.2f-%.2f)" % self.range
        self.bound = "x"
        if dropped:
            self.ratio += " %d dropped" % dropped
        return self

    def of_values(self, values, peer=None, scale=1.0):
        """An absolute row; scale turns the unit into the bounds' one."""
        middle, low, high = interval(values)
        self.ours = shown(middle, self.unit)
        if peer:
            theirs = statistics.median(peer)
            self.peer = shown(theirs, self.unit)
            self.ratio = "%.2fx" % (middle / theirs)
        self.range = (middle * scale, low * scale, high * scale)
        return self

    def of_text(self, ours, peer=""):
        self.ours, self.peer = ours, peer
        return self

    def _all_beyond(self, bound):
        """Is the whole interval on the good side of the bound?"""
        return self.range[2] <= bound if self.lower else self.range[1] >= bound

    def _all_short(self, bound):
        return self.range[1] > bound if self.lower else self.range[2] < bound

    @property
    def failed(self):
        return (self.floor is not None and self.range is not None
                and self._all_short(self.floor))

    @property
    def verdict(self):
        if self.floor is None or self.range is None:
            return "-"
        if self.failed:
            return "FAILS"
        if self.aim is not None and self._all_beyond(self.aim):
            return "aim met"
        return "floor met" if self._all_beyond(self.floor) else "unclear"

    def _limit(self, value):
        if value is None:
            return ""
        return "%s%g%s" % ("<= " if self.lower else ">= ", value,
                           " " + self.bound if self.bound not in ("", "x")
                           else self.bound)

    def cells(self):
        return [self.name, self.ours, self.peer, self.ratio,
                self._limit(self.floor), self._limit(self.aim), self.verdict]


HEAD = ["row", "ours", "peer", "ratio (95 %)", "floor", "aim", "verdict"]


def as_text(rows):
    table = [HEAD] + [r.cells() for r in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(HEAD))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip()
             for line in table]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def as_markdown(rows):
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    lines += ["| " + " | ".join(r.cells()) + " |" for r in rows]
    return "\n".join(lines)
