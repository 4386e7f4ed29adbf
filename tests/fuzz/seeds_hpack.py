#!/usr/bin/env python3
"""Writes the seeds of fuzz_hpack into a folder: seeds_hpack.py DIR."""
import os
import sys

# RFC 7541 appendix C, and sizes of the table: blocks of one connection.
SEEDS = {
    "plain": (255, ["828684410f7777772e6578616d706c652e636f6d",
                    "828684be58086e6f2d6361636865",
                    "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c"
                    "7565"]),
    "huffman": (255, ["828684418cf1e3c2e5f23a6ba0ab90f4ff",
                      "828684be5886a8eb10649cbf",
                      "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"]),
    "eviction": (16, ["488264025885aec3771a4b6196d07abe941054d444a8200595040b"
                      "8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43"
                      "d3", "4883640effc1c0bf"]),
    "sizes": (255, ["400161016220", "203fe11f4001630164be", "3f8001be"]),
    "literals": (255, ["100870617373776f726406736563726574",
                       "040c2f73616d706c652f70617468", "00000161",
                       "0f17016100035820590120"]),
}


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for name, (size, blocks) in SEEDS.items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(bytes([size]))
            for block in map(bytes.fromhex, blocks):
                f.write(len(block).to_bytes(2, "big") + block)


main()
