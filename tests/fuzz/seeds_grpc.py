#!/usr/bin/env python3
"""Writes the seeds of fuzz_grpc into a folder: seeds_grpc.py DIR."""
import os
import sys


def varint(v):
    out = b""
    while v > 127:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def number(num, value):
    return varint(num << 3) + varint(value)


def framed(payload, flag=0):
    return bytes([flag]) + len(payload).to_bytes(4, "big") + payload


SHELL, EXEC, LIST = 0, 1, 2
START = field(1, field(1, b"alice") + field(2, b"/bin/sh") +
              field(3, b"TERM=xterm") + field(3, b"LANG=C.UTF-8") +
              number(4, 1) + number(5, 80) + number(6, 24))
DETAILS = field(1, field(1, b"root") + field(2, b"echo hi") +
                field(3, b"/bin/sh") + field(4, b"A=1") + field(4, b"B=2"))

SEEDS = {
    "shell_start": (SHELL, framed(START)),
    "shell_data": (SHELL, framed(field(3, b"ls\r"))),
    "shell_both": (SHELL, framed(START) + framed(field(3, b"\x03"))),
    "shell_empty_data": (SHELL, framed(field(3, b""))),
    "shell_long": (SHELL, framed(field(3, b"x" * 300))),
    "exec_details": (EXEC, framed(DETAILS)),
    "exec_input": (EXEC, framed(DETAILS) + framed(field(2, b"in")) +
                   framed(field(3, b"INT"))),
    "exec_resize": (EXEC, framed(field(4, number(1, 132) + number(2, 50)))),
    "exec_unknown": (EXEC, framed(field(100, b"?") + number(101, 7) +
                                  varint(102 << 3 | 1) + b"8bytes!!" +
                                  varint(103 << 3 | 5) + b"four")),
    "list": (LIST, framed(field(1, field(1, b"sh-1") + number(4, 77)) * 3)),
    "empty": (SHELL, framed(b"")),
    "compressed": (SHELL, framed(field(3, b"z"), 1)),
    "flag": (SHELL, framed(b"", 2)),
    "huge": (SHELL, b"\0\xff\xff\xff\xff"),
    "bare_start": (SHELL, START),
    "bare_details": (EXEC, DETAILS),
    "group": (EXEC, b"\x0b\x0c"),
    "long_varint": (EXEC, b"\xa0\x06" + b"\xff" * 10 + b"\x01"),
    "past_end": (EXEC, b"\x12\x7fx"),
    "timeout": (SHELL, b"4999876u"),
    "message": (SHELL, b"%E2%98%BA 100%"),
}


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for name, (schema, data) in SEEDS.items():
        for step in (0, 255):
            path = os.path.join(folder, f"{name}_{step}")
            with open(path, "wb") as f:
                f.write(bytes([schema, step]) + data)


if __name__ == "__main__":
    main()
