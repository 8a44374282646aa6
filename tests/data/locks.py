# Takes locks of a file as it is told, a line of input each, and tells what came of it.
import errno
import fcntl
import os
import signal
import struct
import sys
import time

kinds = {"sh": fcntl.F_RDLCK, "ex": fcntl.F_WRLCK, "un": fcntl.F_UNLCK}
whole = {"sh": fcntl.LOCK_SH, "ex": fcntl.LOCK_EX, "un": fcntl.LOCK_UN}
ranges = {"posix": (fcntl.F_GETLK, fcntl.F_SETLK, fcntl.F_SETLKW), "ofd": (36, 37, 38)}


class Interrupted(Exception):
    pass


def alarm(*_):
    raise Interrupted


def act(words):
    global file
    what = words[0]
    wait = "wait" in words
    if what == "flock":
        fcntl.flock(file, whole[words[1]] | (0 if wait else fcntl.LOCK_NB))
    elif what in ranges:
        get, take, take_waiting = ranges[what]
        form = "hhqqi0q"
        lock = struct.pack(form, kinds[words[1]], 0, int(words[2]), int(words[3]), 0)
        if "get" in words:
            kind, _, start, length, _ = struct.unpack(form, fcntl.fcntl(file, get, lock))
            return next(name for name, number in kinds.items() if number == kind) + f" {start} {length}"
        fcntl.fcntl(file, take_waiting if wait else take, lock)
    elif what == "alarm":
        signal.signal(signal.SIGALRM, alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
    elif what == "write":
        os.pwrite(file, words[1].encode(), 0)
    elif what == "read":
        return os.pread(file, 100, 0).decode()
    elif what == "names":
        return " ".join(sorted(os.listdir(os.path.dirname(path) or ".")))
    elif what == "make":
        open(os.path.join(os.path.dirname(path), words[1]), "w").close()
    elif what == "unlink":
        os.unlink(os.path.join(os.path.dirname(path), words[1]))
    elif what == "there":
        return str(os.path.exists(os.path.join(os.path.dirname(path), words[1])))
    elif what == "again":
        os.close(file)
        file = os.open(path, os.O_RDWR)
    elif what == "fork":
        child = os.fork()
        if child == 0:
            act(words[1:])
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
    elif what == "measure":
        begin = time.perf_counter()
        for _ in range(int(words[1])):
            fcntl.flock(file, fcntl.LOCK_EX)
            fcntl.flock(file, fcntl.LOCK_UN)
        return f"{(time.perf_counter() - begin) / int(words[1]) * 1e6:.1f} us"
    return "ok"


path = sys.argv[1]
file = os.open(path, os.O_RDWR)
number = 0
for line in sys.stdin:
    number += 1
    try:
        result = act(line.split())
    except Interrupted:
        result = "interrupted"
    except OSError as error:
        result = errno.errorcode[error.errno]
    print(f"{number}: {result}", flush=True)
