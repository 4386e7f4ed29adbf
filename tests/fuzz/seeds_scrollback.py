#!/usr/bin/env python3
"""Writes the seeds of fuzz_scrollback into a folder: seeds_scrollback.py DIR."""
import os
import sys

SEEDS = {
    "text": b"\x10\x40plain text\r\n50%   \r",
    "colours": b"\x03\x20\x1b[1;31mred\x1b[m \x1b[38;2;1;2;3mx",
    "screen": b"\x01\x10\x1b[?1049h\x1b[?25l\x1b[2J\x1b[?1049l",
    "queries": b"\x05\xff\x1b[6n\x1b[c\x1b[>q\x1b[?25$p\x1bZ\x05",
    "strings": b"\x07\xff\x1b]11;?\x07\x1b]0;t\x1b\\\x1bP$qm\x1b\\",
    "cut": b"\x02\x08\x1b[\x1b]0\x1b\x1bP\x1b[6n\x18\x1a",
    "utf8": b"\x01\x05\xe2\x94\x80\xf0\x9f\x98\x80\xc3\xff\x80",
}

for name, data in SEEDS.items():
    with open(os.path.join(sys.argv[1], name), "wb") as f:
        f.write(data)
