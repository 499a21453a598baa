"""Cases that a client runs against a server, and what came of each.

A script takes one argument, a JSON object that says where the server is, and
prints one JSON object: by name None, or why the case failed. The names are those
of the functions.
"""

import asyncio
import inspect
import json
import sys
import traceback

SERVER = json.loads(sys.argv[1])
CASES = {}


def case(f):
    """Registers a function, or a coroutine, as a case."""
    assert f.__name__ not in CASES
    CASES[f.__name__] = f
    return f


def credential(name="Authorization"):
    """Headers of one request; the clients write their own into what they get."""
    return {name: f"Bearer {SERVER['token']}"}


def run():
    results = {}
    for name, f in CASES.items():
        try:
            if inspect.iscoroutinefunction(f):
                asyncio.run(f())
            else:
                f()
            results[name] = None
        except Exception:
            results[name] = traceback.format_exc()
    json.dump(results, sys.stdout)


def equal(got, want):
    assert got == want, f"{got!r}, not {want!r}"


def refused(error, contains, call):
    """The call must fail with an error whose text holds this."""
    try:
        call()
    except error as e:
        assert contains in str(e), str(e)
    else:
        raise AssertionError("it was answered")
