"""Exact numbers that noise cannot move, per Handshake over plaintext."""

import os
import platform
import re
import shutil
import signal
import subprocess
import time

from measure import Row
from peers import Ours
from rows_unary import Load

ALLOCATORS = ("malloc", "calloc", "realloc", "aligned_alloc")


def system_calls(bench):
    count = 50000 if not bench.quick else 10000
    with Ours(bench.folder()) as ours:
        load = Load(ours.folder, ours, False)
        report = os.path.join(ours.folder, "strace")
        trace = subprocess.Popen(
            ["strace", "-c", "-f", "-o", report, "-p", str(ours.pid)],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            load.run(count)
        finally:
            trace.send_signal(signal.SIGINT)
            trace.wait(20)
        with open(report) as f:
            total = re.search(r"^100\.00\s+\S+\s+(?:\d+\s+)?(\d+)"
                              r"(?:\s+\d+)?\s+total$", f.read(), re.M)
    if not total:
        raise RuntimeError("strace counted nothing")
    return "%.3f" % (int(total[1]) / count)


def bare(name):
    return re.sub(r"^__libc_|'\d+$", "", name)


def parse_profile(path):
    """(instructions, calls of the allocator from outside) by callgrind."""
    names, total, allocations, caller, callee = {}, 0, 0, "", ""
    with open(path) as f:
        for line in f:
            found = re.match(r"(c?)fn=\((\d+)\)(?: (.*))?", line)
            if found:
                if found[3]:
                    names[found[2]] = bare(found[3])
                if found[1]:
                    callee = names[found[2]]
                else:
                    caller = names[found[2]]
            elif line.startswith("calls=") and callee in ALLOCATORS and \
                    caller not in ALLOCATORS:
                allocations += int(line[6:].split()[0])
            elif line.startswith(("totals:", "summary:")):
                total = int(line.split()[1])
    return total, allocations


def profile(bench, count):
    folder = bench.folder()
    out = os.path.join(folder, "callgrind")
    wrapper = ["valgrind", "-q", "--tool=callgrind", "--read-inline-info=no",
               "--callgrind-out-file=" + out]
    with Ours(folder, wrapper=wrapper, binary=os.path.join(
            "obj", platform.machine(), "k8shell")) as ours:
        Load(folder, ours, False).run(count)
    return parse_profile(out)


def instructions(bench):
    """Start-up and connecting cancel out between two runs."""
    few, many = 5000, 25000
    a, b = profile(bench, few), profile(bench, many)
    return ["{:,.0f}".format((b[0] - a[0]) / (many - few)).replace(",", " "),
            "%.3f" % ((b[1] - a[1]) / (many - few))]


def rows(bench):
    bench.say("guards")
    if shutil.which("strace"):
        yield Row("guard: system calls per Handshake").of_text(
            system_calls(bench))
    if shutil.which("valgrind"):
        counted = instructions(bench)
        yield Row("guard: instructions per Handshake").of_text(counted[0])
        yield Row("guard: allocations per Handshake").of_text(counted[1])
