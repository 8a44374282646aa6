"""Runs the tests of one package of NumPy ("fast", as numpy.test() does) and writes one line for each test.

    python3.11 numpy.py RESULTS FOLDER PACKAGE

The lines are those of cpython.py, as are the files "only" and RESULTS, which say what is wanted and what is left out. pytest does the
work. FOLDER is where the tests may write.
"""

import os
import sys

# This file is called as the library is, and lies where Python looks first.
sys.path.pop(0)

import pytest  # noqa: E402

from numpy import __path__ as library  # noqa: E402


class Recorder:
    """A plugin of pytest."""

    def __init__(self, path):
        self.path = os.path.abspath(path)
        self.process = os.getpid()
        self.wanted = lines(os.path.join(os.path.dirname(self.path), "only"))
        self.seen = {line.split(" ", 1)[1] for line in lines(self.path) if line.startswith("start ")}

    def say(self, word, what=""):
        if os.getpid() == self.process:
            with open(self.path, "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{word} {what}".replace("\n", " ") + "\n")

    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if self.is_due(name_of(item.nodeid))]

    def is_due(self, name):
        return name not in self.seen and (not self.wanted or name in self.wanted)

    def pytest_runtest_logstart(self, nodeid):
        self.say("start", name_of(nodeid))

    def pytest_runtest_logreport(self, report):
        is_expected = hasattr(report, "wasxfail")
        if report.failed:
            self.say("failed" if report.when == "call" else "error", name_of(report.nodeid))
        elif report.skipped and not is_expected:
            self.say("skipped", name_of(report.nodeid))
        elif report.when == "call" or report.skipped:
            self.say("passed", name_of(report.nodeid))


def lines(path):
    try:
        with open(path, encoding="utf-8") as file:
            return set(file.read().splitlines())
    except FileNotFoundError:
        return set()


def name_of(nodeid):
    """The same, wherever the library is: linalg/tests/test_linalg.py::TestSolve::test_types[float32]"""
    name = nodeid.split("numpy/", 1)[-1]
    return name.encode("ascii", "backslashreplace").decode().replace("\n", " ")


def main():
    results, folder, package = sys.argv[1:]
    recorder = Recorder(results)
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    tests = os.path.join(library[0], *package.split(".")[1:], "tests")
    status = pytest.main(
        ["-v", "-p", "no:cacheprovider", "-m", "not slow", "--rootdir", os.path.dirname(library[0])]
        + ["--basetemp", os.path.abspath("pytest"), "--hypothesis-profile", "np.test() profile", tests],
        plugins=[recorder],
    )
    # Anything else than "passed", "some failed" and "nothing left to run" is no end of the tests.
    if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        recorder.say("done")


main()
