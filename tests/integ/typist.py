"""Presses keys in a shell and measures how long each takes to come back.

  typist.py TARGET [CA NAME TOKEN]

A client on another machine does not wait for this one's processors, so it
runs ahead of all that do.  In turns with the shell it types into a terminal
of this machine, without us: what that one waits for is not our fault.  Says
"ready", types until its input ends, and prints both lists of seconds as JSON.
"""

import json
import os
import pty
import sys
import threading
import time
import tty

PAUSE = 0.003       # between two keys; without, we would fill a processor


def terminal():
    """An echo behind a terminal; its process waits like everybody."""
    pid, master = pty.fork()
    if pid == 0:
        tty.setraw(0)
        os.write(1, b"!")
        os.execvp("cat", ["cat"])
    assert os.read(master, 1) == b"!"
    return master


def main(target, ca=None, name=None, token=None):
    control = terminal()
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pass
    import harness      # gRPC's threads inherit our place in the queue
    ours, theirs = [], []
    over = threading.Event()
    with harness.Stub(target, ca, name, token) as stub:
        shell = harness.Talk(stub, "Shell", "sh-typist").start()
        shell.type("stty raw; exec sh -c 'echo r\\''aw; exec cat'\n")
        shell.expect("raw")
        print("ready", flush=True)
        threading.Thread(target=lambda: (sys.stdin.read(), over.set()),
                         daemon=True).start()
        while not over.is_set():
            n = len(shell.data)
            begin = time.monotonic()
            shell.type("~")
            shell.wait(lambda: len(shell.data) > n, "the echo", deadline=60)
            end = time.monotonic()
            ours.append(end - begin)
            os.write(control, b"~")
            os.read(control, 1)
            theirs.append(time.monotonic() - end)
            time.sleep(PAUSE)
        print(json.dumps([ours, theirs]), flush=True)
        os._exit(0)


main(*sys.argv[1:])
