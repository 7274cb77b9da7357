"""What behaviour.py and shards_behaviour.py have in common."""

import inspect
import json
import traceback

import on_cpu


def refused_by(package):
    """A function that holds that a call is refused under a code, with a message that has these parts, and a fix."""

    def refused(code, *parts, of):
        try:
            of()
        except package.HireError as error:
            assert error.code == code, error
            assert error.fix and str(error) == f"{code}: {error.message}. {error.fix}"
            for part in parts:
                assert part in str(error), (part, str(error))
            return
        raise AssertionError(f"no {code}")

    return refused


def tell(functions, before_each=lambda: None):
    """Runs every function named test_…, with a real torch also real_test_…, in order; prints a JSON object of names and what
    went wrong, or null."""
    kinds = ("test_",) if on_cpu.IS_FAKE else ("test_", "real_test_")
    results = {}
    for name, function in list(functions.items()):
        if inspect.isfunction(function) and name.startswith(kinds):
            before_each()
            try:
                function()
                results[name] = None
            except Exception:
                results[name] = traceback.format_exc()
    print(json.dumps(results))
