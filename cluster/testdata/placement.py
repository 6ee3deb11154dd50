"""Checks placement.json against docs/format/placement.md, in Python alone. Usage: placement.py FILE"""

import json
import math
import sys

M = (1 << 64) - 1
P1, P2, P3, P4, P5 = (
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


def rotl(x, r):
    return ((x << r) | (x >> (64 - r))) & M


def lane(acc, v):
    return rotl((acc + v * P2) & M, 31) * P1 & M


def xxh64(b, seed):
    i, n = 0, len(b)
    if n >= 32:
        v = [(seed + P1 + P2) & M, (seed + P2) & M, seed, (seed - P1) & M]
        while i + 32 <= n:
            for j in range(4):
                v[j] = lane(v[j], int.from_bytes(b[i:i + 8], "little"))
                i += 8
        h = (rotl(v[0], 1) + rotl(v[1], 7) + rotl(v[2], 12) + rotl(v[3], 18)) & M
        for x in v:
            h = ((h ^ lane(0, x)) * P1 + P4) & M
    else:
        h = (seed + P5) & M
    h = (h + n) & M
    while i + 8 <= n:
        h = (rotl(h ^ lane(0, int.from_bytes(b[i:i + 8], "little")), 27) * P1 + P4) & M
        i += 8
    if i + 4 <= n:
        h = (rotl(h ^ (int.from_bytes(b[i:i + 4], "little") * P1 & M), 23) * P2 + P3) & M
        i += 4
    for c in b[i:]:
        h = rotl(h ^ (c * P5 & M), 11) * P1 & M
    h = (h ^ (h >> 33)) * P2 & M
    h = (h ^ (h >> 29)) * P3 & M
    return h ^ (h >> 32)


def mix(name, node):
    z = ((name ^ node) + 0x9E3779B97F4A7C15) & M
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & M
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & M
    return z ^ (z >> 31)


def score(m, weight):
    return -weight / math.log(((m >> 11) + 0.5) / (1 << 53))


def ranked(nodes, name, n):
    order = sorted((x for x in nodes if x["weight"] > 0),
                   key=lambda x: (-score(mix(name, xxh64(x["id"].encode(), 0)), x["weight"]), x["id"]))
    first, rest, zones = [], [], set()
    for x in order:
        if x["zone"] and x["zone"] in zones:
            rest.append(x["id"])
        else:
            first.append(x["id"])
            zones.add(x["zone"])
    return (first + rest)[:n]


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        v = json.load(f)
    n = 0
    for d in v["digests"]:
        assert "%016x" % xxh64(d["key"].encode(), int(d["seed"], 16)) == d["digest"], d
        n += 1
    for m in v["mixes"]:
        got = mix(int(m["name"], 16), int(m["node"], 16))
        assert "%016x" % got == m["mix"] and math.isclose(score(got, m["weight"]), m["score"], rel_tol=1e-12), m
        n += 1
    for c in v["cases"]:
        for k in c["keys"]:
            name = xxh64(k["key"].encode(), int(c["seed"], 16))
            assert "%016x" % name == k["digest"], k
            got = ranked(c["nodes"], name, 4)
            assert got == k["ranked"] and got[0] == k["owner"], (k, got)
            n += 1
    print(n, "vectors agree")


if __name__ == "__main__":
    main()
