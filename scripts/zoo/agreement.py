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


def numeric(a):
    return a.dtype.kind in "fiub"


def matches(want, got):
    """Report whether an output can hold a library's answer."""
    if want.dtype.kind in "OU" or got.dtype.kind in "OU":
        return want.dtype.kind in "OU" and got.dtype.kind in "OU" and want.size == got.size
    labels = want.dtype.kind in "iub", got.dtype.kind in "iub"
    return want.size == got.size and labels[0] == labels[1]


def difference(want, got):
    """Return how many labels differ, or the largest difference of numbers in
    units of 1e-5 absolute plus 1e-5 relative."""
    if want.dtype.kind in "OUb" or got.dtype.kind in "OU":
        kind = str if want.dtype.kind in "OU" else int
        pairs = zip(want.ravel(), got.ravel(), strict=True)
        return {"labels": int(want.size), "differ": int(sum(kind(a) != kind(b) for a, b in pairs))}
    w, g = want.ravel().astype(np.float64), got.ravel().astype(np.float64)
    if want.dtype.kind in "iu":
        return {"labels": int(w.size), "differ": int((w != g).sum())}
    both = np.isnan(w) & np.isnan(g) | (w == g)
    gap = np.where(both, 0, np.abs(w - g))
    gap = np.where(np.isnan(gap), np.inf, gap)
    far = gap > 1e-5 + 1e-5 * np.abs(np.where(np.isfinite(w), w, 0))
    return {"values": int(w.size), "differ": int(far.sum()), "most": float(min(gap.max(initial=0), 1e30))}


def compare(library, outputs, rows):
    """Compare each answer of the library with the output that can hold it and
    is nearest."""
    out, free = [], [a[:rows] if getattr(a, "ndim", 0) and len(a) > rows else a for a in map(flat, outputs) if a is not None]
    for want in library:
        found = [(difference(want, got)["differ"], i) for i, got in enumerate(free) if matches(want, got)]
        if found:
            out.append(difference(want, free.pop(min(found)[1])))
    return out
