# Python as people use it: a session over a pipe, a virtual environment with a wheel of one's own, a database, what is imported.
mkdir -p "${STORY_DIRECTORY:-.}" && cd "${STORY_DIRECTORY:-.}"
python=${DAILY_PYTHON:-/usr/bin/python3}

echo '== a session'
printf 'x = 6\nx * 7\ndef f(n):\n    return n / 0\n\nf(x)\nprint("after")\n' | $python -i -q 2>&1

echo '== a wheel'
$python - <<'PYTHON'
import zipfile

info = "sample-1.0.dist-info"
files = {
    "sample/__init__.py": "import importlib.metadata\ndef main():\n    print('sample', importlib.metadata.version('sample'))\n",
    f"{info}/METADATA": "Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n",
    f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{info}/entry_points.txt": "[console_scripts]\nsample = sample:main\n",
}
files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
with zipfile.ZipFile("sample-1.0-py3-none-any.whl", "w") as wheel:
    for name, text in files.items():
        wheel.writestr(name, text)
PYTHON
$python -m venv environment && echo made
pip="environment/bin/python -m pip --disable-pip-version-check --no-input"
$pip install --no-index --no-cache-dir -q ./sample-1.0-py3-none-any.whl && echo installed
environment/bin/sample
environment/bin/python -c 'import sample, sys; print(sys.prefix != sys.base_prefix); sample.main()'
$pip show sample | grep -E '^(Name|Version)'
$pip uninstall -q -y sample && echo removed
environment/bin/python -c 'import sample' 2>&1 | tail -1

echo '== a database'
$python - <<'PYTHON'
import sqlite3
import threading

base = sqlite3.connect("base.db")
print(base.execute("pragma journal_mode=wal").fetchone())
base.execute("create table numbers (thread, n)")
base.commit()


def write(thread):
    own = sqlite3.connect("base.db", timeout=60)
    for n in range(50):
        with own:
            own.execute("insert into numbers values (?, ?)", (thread, n))
    own.close()


threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
try:
    with base:
        base.execute("delete from numbers")
        raise RuntimeError("taken back")
except RuntimeError as error:
    print(error)
print(base.execute("select thread, count(*), sum(n) from numbers group by thread").fetchall())
print(base.execute("pragma integrity_check").fetchone())
PYTHON

echo '== imports'
$python -I -S -X importtime -c 'import json, asyncio' 2>&1 | sed 's/.*|//'
