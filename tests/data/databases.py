# SQLite from several processes: rollback journals and write-ahead logs (whose index is a file mapped by all of them),
# locks that exclude, waiting for them, recovery after a kill, backups.
import os
import signal
import sqlite3
import sys
import time

folder = sys.argv[1] if len(sys.argv) > 1 else "."
os.makedirs(folder, exist_ok=True)
os.chdir(folder)


def opened(name, **options):
    connection = sqlite3.connect(name, isolation_level=None, **options)
    connection.execute("pragma synchronous=normal")
    return connection


def child(work):
    """Runs `work` in a process of its own and returns what it returned, a short text."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, str(work()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return text


def refused(name, statement):
    """What a connection that does not wait is told."""
    try:
        return opened(name, timeout=0).execute(statement).fetchall()
    except sqlite3.OperationalError as error:
        return error


for mode in ["delete", "truncate", "persist", "memory", "wal"]:
    name = f"{mode}.db"
    one = opened(name)
    print(mode, one.execute(f"pragma journal_mode={mode}").fetchone())
    one.execute("create table t(writer integer, n integer, text text)")

    # One that writes: the others cannot, and read what was there before, or nothing.
    one.execute("begin immediate")
    one.execute("insert into t values (0, 0, 'first')")
    print("  write:", child(lambda: refused(name, "insert into t values (9, 9, '')")))
    print("  read:", child(lambda: refused(name, "select count(*) from t")))
    one.execute("commit")
    print("  read then:", child(lambda: refused(name, "select count(*) from t")))
    one.execute("begin exclusive")
    print("  read beside an exclusive one:", child(lambda: refused(name, "select count(*) from t")))
    one.execute("rollback")

    # One that reads sees its own moment.
    one.execute("begin")
    before = one.execute("select count(*) from t").fetchone()
    wrote = child(lambda: refused(name, "insert into t values (1, 1, 'beside a reader')"))
    print("  beside a reader:", wrote, before, one.execute("select count(*) from t").fetchone())
    one.execute("commit")
    one.close()

    # Four that count together, and wait for each other.
    def count(writer):
        connection = opened(name, timeout=60)
        for n in range(8):
            connection.execute("begin immediate")
            (most,) = connection.execute("select coalesce(max(n), 0) from t where writer = 7").fetchone()
            connection.execute("insert into t values (7, ?, ?)", (most + 1, "x" * (writer * 300)))
            connection.execute("commit")
        connection.close()

    pids = []
    for writer in range(4):
        pid = os.fork()
        if pid == 0:
            count(writer)
            os._exit(0)
        pids.append(pid)
    print("  writers:", [os.waitpid(pid, 0)[1] for pid in pids])
    one = opened(name)
    print("  counted:", one.execute("select count(*), max(n), count(distinct n) from t where writer = 7").fetchone())
    print("  whole:", one.execute("pragma integrity_check").fetchone())
    one.close()

# A writer that is killed in the middle of a large transaction: its pages are in the file already, and must go again.
for mode in ["delete", "wal"]:
    name = f"killed-{mode}.db"
    one = opened(name)
    one.execute(f"pragma journal_mode={mode}")
    one.execute("create table t(n integer primary key, text text)")
    one.execute("insert into t values (0, 'kept')")
    one.close()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        connection = opened(name)
        connection.execute("pragma cache_size=5")
        connection.execute("begin immediate")
        for n in range(1, 2000):
            connection.execute("insert into t values (?, ?)", (n, "y" * 500))
        os.write(writing, b".")
        time.sleep(1000)
    os.read(reading, 1)
    os.kill(pid, signal.SIGKILL)
    print("killed:", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), os.path.getsize(name) > 500_000, os.path.exists(f"{name}-journal"))
    one = opened(name)
    print("  left:", one.execute("select * from t").fetchall(), one.execute("pragma integrity_check").fetchone())
    one.close()
    print("  files:", sorted(file for file in os.listdir() if file.startswith(name)))

# A copy while there are readers, the whole file at once, and attached files in one transaction.
source, target = opened("wal.db"), opened("copy.db")
source.backup(target, pages=5)
print("copy:", target.execute("select count(*) from t").fetchone(), target.execute("pragma integrity_check").fetchone())
target.execute("pragma mmap_size=1000000")
target.execute("delete from t where n % 2 = 0")
target.execute("vacuum")
print("mapped:", target.execute("select count(*), count(distinct n) from t").fetchone())
target.execute("attach 'delete.db' as other")
target.execute("begin")
target.execute("insert into other.t select 100, n, '' from t")
target.execute("delete from t")
target.execute("commit")
print("moved:", target.execute("select count(*) from t").fetchone(), target.execute("select count(*) from other.t where writer = 100").fetchone())
source.close()
target.close()
for name in sorted(os.listdir()):
    os.remove(name)
