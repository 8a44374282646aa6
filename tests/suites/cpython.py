"""Runs one module of CPython's own test suite and writes one line for each test.

    python3.11 cpython.py RESULTS FOLDER MODULE [RESOURCE...]

The suite's own runner does the work (test.libregrtest: it prepares and checks the surroundings); its result class is
told to say when a test begins and how it ended, so that a module that crashes or hangs has said what it did till then:

    start ID
    passed|failed|error|skipped ID
    done

The lines go to the file RESULTS, each with an open of its own: some tests close whatever is open. FOLDER is where the
tests may write. Tests that the file RESULTS names already are left out, so that a run can go on behind a test that
ended it; a file "only" beside it, if it is not empty, names those that are wanted. A test that fails as the suite expects has passed; subtests count with their test.
"""

import os
import sys


def main():
    results, folder, module, *resources = sys.argv[1:]
    folder = os.path.abspath(folder)
    recorder = Recorder(results)
    record_into(recorder)

    from test.libregrtest import main as run_suite

    arguments = ["-v", "--tempdir", folder]
    if resources:
        arguments += ["-u", ",".join(resources)]
    only = os.path.join(os.path.dirname(recorder.path), "only")
    if os.path.exists(only) and os.path.getsize(only):
        arguments += ["--matchfile", only]
    seen = recorder.seen()
    if seen:
        ignored = recorder.path + ".ignored"
        with open(ignored, "w") as file:
            file.write("\n".join(seen) + "\n")
        arguments += ["--ignorefile", ignored]
    sys.argv[1:] = [*arguments, module]
    try:
        run_suite()
    finally:
        recorder.say("done")


class Recorder:
    def __init__(self, path):
        self.path = os.path.abspath(path)
        self.process = os.getpid()
        self.said = None

    def seen(self):
        try:
            with open(self.path) as file:
                return sorted({line.split(" ", 1)[1].rstrip("\n") for line in file if line.startswith("start ")})
        except FileNotFoundError:
            return []

    def say(self, word, what=""):
        # Children that a test forks have the same result object.
        if os.getpid() == self.process:
            line = f"{word} {what}".replace("\n", " ") + "\n"
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            os.write(file, line.encode("utf-8", "backslashreplace"))
            os.close(file)


def record_into(recorder):
    from test.support.testresult import RegressionTestResult as Result

    def wrap(method, word):
        original = getattr(Result, method)

        def wrapped(self, test, *arguments):
            recorder.say(word, test.id())
            return original(self, test, *arguments)

        setattr(Result, method, wrapped)

    wrap("startTest", "start")
    wrap("addSuccess", "passed")
    wrap("addExpectedFailure", "passed")
    wrap("addFailure", "failed")
    wrap("addUnexpectedSuccess", "failed")
    wrap("addError", "error")
    wrap("addSkip", "skipped")

    def subtest(self, test, subtest, error):
        if error is not None:
            is_failure = issubclass(error[0], test.failureException)
            recorder.say("failed" if is_failure else "error", test.id())
        return original_subtest(self, test, subtest, error)

    original_subtest = Result.addSubTest
    Result.addSubTest = subtest


if __name__ == "__main__":
    main()
