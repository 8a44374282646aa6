# Counts in a database that others count in, too.
import sqlite3
import sys

path, name, times, mode = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
database = sqlite3.connect(path, timeout=60, isolation_level=None)
database.execute(f"pragma journal_mode={mode}")
database.execute("pragma synchronous=off")
for round in range(times):
    database.execute("begin immediate" if round % 2 else "begin exclusive")
    (count,) = database.execute("select n from counter").fetchone()
    database.execute("insert into entries values (?, ?, ?)", (name, count, "x" * (100 + 37 * round % 3000)))
    database.execute("update counter set n = ?", (count + 1,))
    if round % 10 == 9:
        database.execute("delete from entries where who = ? and n % 3 = 0", (name,))
    database.execute("rollback" if round % 7 == 6 else "commit")
print(sum(1 for round in range(times) if round % 7 != 6))
