"""Write the same six elements in every type, byte order and memory order that
NumPy has for a tensor, and in every version of the format."""

import itertools

import numpy as np
from numpy.lib import format as npy

NUMBERS = np.array([[0, 1, 2], [3, 4, -5]])
TEXTS = np.array([["null", "eins", "zwei"], ["drei", "vier ", "fünf"]])
KINDS = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "U5", "S6"]

for kind, endian, order in itertools.product(KINDS, "<>", "CF"):
    if kind in ("i1", "u1", "b1", "S6") and endian == ">":
        continue
    if kind[0] == "U":
        a = TEXTS.astype(endian + kind)
    elif kind[0] == "S":
        a = np.char.encode(TEXTS, "utf-8")
    elif kind == "b1":
        a = np.array([[False, True, True], [False, True, True]])
    else:
        a = (abs(NUMBERS) if kind[0] == "u" else NUMBERS).astype(endian + kind)
    name = f"{kind if kind[0] in 'fiu' else kind[0]}_{'little' if endian == '<' else 'big'}_{order}.npy"
    np.save(name, np.asarray(a, order=order))

for version in [(1, 0), (2, 0), (3, 0)]:
    with open(f"f4_version_{version[0]}.npy", "wb") as f:
        npy.write_array(f, NUMBERS.astype("<f4"), version=version)
