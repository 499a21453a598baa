"""How an export agrees with the library that trained the model."""

import numpy as np
import record


def flat(output):
    """Return an output of ONNX Runtime as an array, or None."""
    if isinstance(output, dict):
        return np.array(list(output.values()))
    if isinstance(output, list):
        if output and isinstance(output[0], dict):
            return record.columns(output)[1]
        return np.stack(output) if len({np.shape(o) for o in output}) == 1 else None
    return output



def matches(want, got):
    """Report whether an output can hold a library's answer."""
    text = want.dtype.kind in "OU", got.dtype.kind in "OU"
    return want.size == got.size and text[0] == text[1]


def difference(want, got):
    """Return how many labels differ; or how many numbers by more than 1e-5, and
    how many by more than 1e-3, each absolute and relative."""
    if want.dtype.kind in "OU":
        return {"labels": int(want.size), "differ": int(sum(str(a) != str(b) for a, b in zip(want.ravel(), got.ravel(), strict=True)))}
    w, g = want.ravel().astype(np.float64), got.ravel().astype(np.float64)
    if want.dtype.kind in "iub" and got.dtype.kind in "iub":
        return {"labels": int(w.size), "differ": int((w != g).sum())}
    gap = np.where(np.isnan(w) & np.isnan(g) | (w == g), 0, np.abs(w - g))
    gap = np.where(np.isnan(gap), np.inf, gap)
    size = np.abs(np.where(np.isfinite(w), w, 0))
    beyond = [int((gap > t + t * size).sum()) for t in (1e-5, 1e-3)]
    return {"values": int(w.size), "differ": beyond[0], "far": beyond[1], "most": float(min(gap.max(initial=0), 1e30))}


def distance(line):
    """Return how far an answer is from an output, to find the pairs."""
    return line["differ"] / max(1, line.get("labels", line.get("values"))), line.get("most", 0)


def compare(library, outputs, rows):
    """Compare each answer of the library with the output that holds it: of all
    that can, the nearest. The first, what it predicts, must have one."""
    outputs = [a[:rows] if getattr(a, "ndim", 0) and len(a) > rows else a for a in map(flat, outputs) if a is not None]
    pairs = [
        (distance(line), i, k, line)
        for i, want in enumerate(library) for k, got in enumerate(outputs)
        if matches(want, got) for line in [difference(want, got)]
    ]
    found, taken = {}, set()
    for _, i, k, line in sorted(pairs, key=lambda p: p[:3]):
        if i not in found and k not in taken:
            found[i] = line
            taken.add(k)
    if library and 0 not in found:
        return [{"labels": int(library[0].size), "differ": int(library[0].size), "absent": True}, *found.values()]
    return [found[i] for i in sorted(found)]
