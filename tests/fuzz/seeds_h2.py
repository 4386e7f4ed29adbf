#!/usr/bin/env python3
"""Writes the seeds of fuzz_h2 into a folder: seeds_h2.py DIR."""
import os
import sys

CLIENT, ANSWER, CONSUME, RESET = 1, 2, 4, 8
FINISH, STINGY, RAW, BIG = 16, 32, 64, 128
GET = bytes.fromhex("828684")
POST = bytes.fromhex("838684")
OK = b"\x88"
TRAILER = bytes.fromhex("4001780179")


def frame(kind, flags=0, stream=0, payload=b""):
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags]) +
            stream.to_bytes(4, "big") + payload)


def headers(stream, block, flags=4):
    return frame(1, flags, stream, block)


def data(stream, payload, flags=0):
    return frame(0, flags, stream, payload)


def setting(key, value):
    return key.to_bytes(2, "big") + value.to_bytes(4, "big")


def u32(kind, stream, value):
    return frame(kind, 0, stream, value.to_bytes(4, "big"))


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SEEDS = {
    "get": (ANSWER, headers(1, GET, 5)),
    "post": (ANSWER | CONSUME, headers(1, POST) + data(1, b"hello", 1)),
    "trailers": (ANSWER, headers(1, POST) + data(1, b"x") +
                 headers(1, TRAILER, 5)),
    "continuation": (ANSWER, frame(1, 1, 1, GET[:1]) +
                     frame(9, 0, 1, GET[1:2]) + frame(9, 4, 1, GET[2:])),
    "padding": (ANSWER, frame(1, 0x2c, 1, b"\2\x80\0\0\0\xff" + POST +
                              b"\0\0") +
                frame(0, 9, 1, b"\3abc\0\0\0")),
    "settings": (ANSWER, frame(4, 0, 0, setting(4, 1) + setting(1, 0)) +
                 headers(1, GET, 5) + frame(4, 0, 0, setting(4, 70000)) +
                 frame(4, 0, 0, setting(1, 4096) + setting(5, 65536) +
                       setting(2, 0) + setting(3, 7) + setting(6, 9))),
    "windows": (ANSWER | BIG | STINGY, headers(1, GET, 5) +
                headers(3, GET, 5) + u32(8, 1, 1000) + u32(8, 0, 100000) +
                u32(8, 3, 50000)),
    "reset": (ANSWER | RESET, headers(1, POST) + u32(3, 1, 8) +
              headers(3, POST) + data(3, b"late") + headers(5, GET, 5)),
    "finish": (FINISH, headers(1, POST) + data(1, b"late") +
               data(1, b"end", 1) + headers(3, POST)),
    "ping": (ANSWER, frame(6, 0, 0, b"12345678") +
             frame(6, 1, 0, b"shutdtws") +
             frame(7, 0, 0, bytes(8) + b"bye") + frame(2, 0, 9, bytes(5)) +
             frame(0x42, 0, 0, b"?")),
    "length": (ANSWER, headers(1, POST + b"\x0f\x0d\x011") +
               data(1, b"x", 1)),
    "raw": (RAW | ANSWER, PREFACE + frame(4) + frame(4, 1) +
            headers(1, GET, 5)),
    "client": (CLIENT | CONSUME, headers(1, OK) + data(1, b"hello") +
               headers(1, TRAILER, 5) + headers(3, OK + TRAILER, 5) +
               u32(3, 5, 0)),
    "client_odd": (CLIENT, headers(1, bytes.fromhex("0803313030")) +
                   headers(1, OK, 5) + frame(7, 0, 0, b"\0\0\0\3" + bytes(4)) +
                   u32(8, 3, 9)),
}


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for name, (how, frames) in SEEDS.items():
        for step in (0, 8, 255):
            path = os.path.join(folder, "%s_%d" % (name, step))
            with open(path, "wb") as f:
                f.write(bytes([step, how]) + frames)


main()
