"""A terminal, and septum in it: each case types, looks at what is shown, and changes the window.

    python3 cases.py CASE SEPTUM [OPTIONS OF run]

The terminal is a pty of this process, which leaves with 0 if all was as it should be. OPTIONS go to `septum run`.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

PATIENCE = 60


class Terminal:
    """A process that has a terminal of its own."""

    def __init__(self, *command, rows=24, columns=80):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execvp(command[0], command)
        self.text = ""
        self.seen = 0

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self, patience):
        if not select.select([self.master], [], [], patience)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            data = b""
        self.text += data.decode(errors="replace")
        return bool(data)

    def wait_for(self, pattern):
        """Until what comes after that which was waited for before has it."""
        end = time.monotonic() + PATIENCE
        while True:
            found = re.search(pattern, self.text[self.seen :])
            if found:
                self.seen += found.end()
                return found
            if time.monotonic() > end or not self.read(1) and self.has_ended():
                raise AssertionError(f"{pattern!r} never came; there was {self.text[self.seen:]!r} of {self.text!r}")

    def has_ended(self):
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def settings(self):
        return termios.tcgetattr(self.master)

    def status(self):
        """Its exit status."""
        end = time.monotonic() + PATIENCE
        while not self.has_ended():
            assert time.monotonic() < end, f"it does not end; there was {self.text!r}"
            self.read(0.05)
        while self.read(0):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def expect(what, wanted):
    assert what == wanted, f"{what!r} instead of {wanted!r}"


class Septum:
    def __init__(self, binary, options):
        self.binary, self.options = binary, options

    def command(self, *arguments, options=()):
        return [self.binary, "run", *self.options, *options, "--", *arguments]

    def run(self, *arguments, rows=24, columns=80):
        return Terminal(*self.command(*arguments, options=["-it"]), rows=rows, columns=columns)

    def ask(self, *arguments):
        done = subprocess.run([self.binary, *arguments], capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done
        return done.stdout.strip()

    def start(self, *arguments, options=()):
        done = subprocess.run(self.command(*arguments, options=["-d", *options]), capture_output=True, text=True)
        assert done.returncode == 0, done
        return done.stdout.strip()


def looks_like_a_terminal(septum):
    """isatty, its name, its size, TERM, and lines that end as terminals want it."""
    script = "test -t 0 && test -t 1 && test -t 2 && echo $TERM $(tty) $(stty size); echo x > /dev/tty; exit 5"
    terminal = septum.run("sh", "-c", script, rows=31, columns=77)
    terminal.wait_for(r"\S+ /dev/pts/0 31 77\r\nx\r\n")
    expect(terminal.status(), 5)


def keys_are_signals_though_nobody_reads(septum):
    for key, status in [("\x03", 130), ("\x1c", 131)]:
        terminal = septum.run("sh", "-c", "echo ready; while :; do :; done")
        terminal.wait_for("ready")
        terminal.type(key)
        expect(terminal.status(), status)


def the_window_changes(septum):
    script = "trap 'stty size; echo changed' WINCH; echo ready; while :; do sleep 0.1; done"
    terminal = septum.run("sh", "-c", script)
    terminal.wait_for("ready")
    for rows, columns in [(40, 120), (10, 30), (50, 200)]:
        terminal.resize(rows, columns)
        terminal.wait_for(f"{rows} {columns}\r\nchanged")
    terminal.type("\x03")
    expect(terminal.status(), 130)


def the_terminal_is_what_it_was(septum):
    """Whatever ends it: an exit, a key, a signal to the command, a failure, another command."""
    shell = Terminal("sh", "-c", "stty -a > /dev/null; echo ready; read line")
    shell.wait_for("ready")
    usual = shell.settings()
    shell.type("\n")
    expect(shell.status(), 0)

    def is_usual(terminal, what):
        expect((what, terminal.settings()[:4]), (what, usual[:4]))

    run = lambda *words: " ".join(f"'{word}'" for word in septum.command(*words, options=["-it", "--name", "it"]))
    for what, command, act in [
        ("exit", run("true"), None),
        ("nothing to run", run("/nonsense"), None),
        ("a key", run("sh", "-c", "echo begins; exec sleep 1000"), lambda terminal: terminal.type("\x03")),
        ("kill", run("sh", "-c", "echo begins; exec sleep 1000"), lambda _: septum.ask("kill", "it")),
        ("stop", run("sh", "-c", "echo begins; exec sleep 1000"), lambda _: septum.ask("stop", "it")),
        ("a timeout", run("sh", "-c", "echo begins; exec sleep 1000").replace("'-it'", "-it --timeout 3s"), None),
    ]:
        terminal = Terminal("sh", "-c", f"{command}; echo over $?; read line")
        if act:
            terminal.wait_for("begins")
            assert terminal.settings()[3] & (termios.ICANON | termios.ECHO | termios.ISIG) == 0, "it is raw"
            act(terminal)
        terminal.wait_for(r"over \d+")
        is_usual(terminal, what)
        terminal.type("\n")
        terminal.status()


def a_shell_has_jobs(septum):
    for shell in [["bash", "--norc", "-i"], ["dash", "-i"]]:
        terminal = septum.run("env", "PS1=ready> ", *shell)
        terminal.wait_for("ready> ")
        terminal.type("env A=1 sh -c 'echo runs; exec sleep 1000'\n")
        terminal.wait_for("runs\r\n")
        time.sleep(0.3)
        terminal.type("\x1a")
        terminal.wait_for("Stopped")
        terminal.type("jobs; bg; fg\n")
        terminal.wait_for("sleep 1000")
        time.sleep(0.5)
        terminal.type("\x03")
        terminal.wait_for("ready> ")
        terminal.type("cat | tr a-z A-Z\n")
        terminal.type("shout\n")
        terminal.wait_for("SHOUT")
        terminal.type("\x04")
        terminal.wait_for("ready> ")
        terminal.type("exit 9\n")
        expect(terminal.status(), 9)


def programs_take_raw_keys(septum):
    """readline, curses, and a pager."""
    terminal = septum.run("python3", "-q", "-c", "import readline; print(repr(input('? ')))")
    terminal.wait_for(r"\? ")
    terminal.type("world\x01hello \x05!\n")
    terminal.wait_for("'hello world!'")
    expect(terminal.status(), 0)
    program = (
        "import curses\n"
        "def main(screen):\n"
        "    screen.addstr(0, 0, 'size %d %d' % screen.getmaxyx()); screen.refresh()\n"
        "    while True:\n"
        "        key = screen.getch()\n"
        "        if key == ord('q'): return\n"
        "        screen.addstr(1, 0, 'key %d ' % key); screen.refresh()\n"
        "curses.wrapper(main)\n"
    )
    terminal = septum.run("python3", "-c", program, rows=30, columns=90)
    terminal.wait_for("size 30 90")
    terminal.type("\x1bOA")
    terminal.wait_for("259")
    terminal.type("q")
    expect(terminal.status(), 0)


def much_is_shown_and_typed(septum):
    terminal = septum.run("sh", "-c", "seq 1 20000; echo that was all")
    terminal.wait_for("that was all")
    numbers = [int(line) for line in terminal.text.split("\r\n") if line.isdigit()]
    expect(numbers, list(range(1, 20001)))
    expect(terminal.status(), 0)
    terminal = septum.run("sh", "-c", "stty raw -echo; echo ready; head -c 50000 | md5sum")
    terminal.wait_for("ready")
    terminal.type("0123456789" * 5000)
    import hashlib

    terminal.wait_for(hashlib.md5(b"0123456789" * 5000).hexdigest())
    expect(terminal.status(), 0)


def without_a_terminal_there_is_none(septum):
    for command in [septum.command("true", options=["-t"]), septum.command("true", options=["-it"])]:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        expect(done.returncode, 241)
        assert "is not a terminal" in done.stderr, done
    done = subprocess.run(septum.command("test", "-t", "1"), stdin=subprocess.DEVNULL)
    expect(done.returncode, 1)


def a_cut_line_hangs_up(septum):
    terminal = septum.run("sh", "-c", "trap 'exit 3' HUP; echo ready; while :; do sleep 0.1; done")
    terminal.wait_for("ready")
    os.close(terminal.master)
    end = time.monotonic() + PATIENCE
    while not terminal.has_ended():
        assert time.monotonic() < end, "it goes on without its terminal"
        time.sleep(0.05)


def the_command_is_stopped_and_goes_on(septum):
    command = " ".join(f"'{word}'" for word in septum.command("sh", "-c", "echo begins; while read l; do echo got $l; done", options=["-it"]))
    terminal = Terminal("bash", "--norc", "-i")
    terminal.type(f"PS1='outside> '; {command}\n")
    terminal.wait_for("begins\r\n")
    terminal.type("one\n")
    terminal.wait_for("got one")
    children = subprocess.run(["pgrep", "-P", str(terminal.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(children[0]), signal.SIGTSTP)
    terminal.wait_for("Stopped")
    terminal.wait_for("outside> ")
    assert terminal.settings()[3] & termios.ISIG, "the terminal is usable meanwhile"
    terminal.type("fg\n")
    terminal.wait_for("run")
    time.sleep(0.3)
    terminal.type("two\n")
    terminal.wait_for("got two")
    terminal.type("\x04")
    terminal.wait_for("outside> ")
    terminal.type("exit\n")
    terminal.status()


def others_attach_and_leave(septum):
    name = septum.start("env", "PS1=ready> ", "dash", "-i", options=["-it"])
    first = Terminal(septum.binary, "attach", name, rows=33, columns=99)
    first.type("stty size\n")
    first.wait_for("33 99")
    first.type("\x10\x11")
    first.wait_for("detached")
    expect(first.status(), 0)
    second = Terminal(septum.binary, "attach", "--detach-keys", "ctrl-x", name)
    second.type("echo again\n")
    second.wait_for(r"again\r\n(.*\r\n)?again\r\n")
    second.resize(44, 111)
    time.sleep(0.5)
    second.type("stty size\n")
    second.wait_for("44 111")
    assert "33 99" in septum.ask("logs", name)
    second.type("exit 6\n")
    expect(second.status(), 6)


def further_programs_have_terminals(septum):
    name = septum.start("sleep", "1000")
    terminal = Terminal(septum.binary, "exec", "-it", name, "env", "PS1=ready> ", "bash", "--norc", "-i", rows=20, columns=70)
    terminal.wait_for("ready> ")
    terminal.type("tty; stty size; echo $TERM\n")
    terminal.wait_for(r"/dev/pts/0\r\n20 70\r\n\S+")
    terminal.type("while :; do :; done\n")
    time.sleep(0.5)
    terminal.type("\x03")
    terminal.wait_for("ready> ")
    terminal.resize(25, 75)
    time.sleep(0.5)
    terminal.type("stty size\n")
    terminal.wait_for("25 75")
    other = Terminal(septum.binary, "exec", "-it", name, "sh", "-c", "tty; read line; exit 4")
    other.wait_for("/dev/pts/1")
    usual = terminal.settings()
    other.type("\n")
    expect(other.status(), 4)
    terminal.type("exit 8\n")
    expect(terminal.status(), 8)
    assert usual is not None
    # Who goes hangs up, whether killed or by the keys for it.
    gone = Terminal(septum.binary, "exec", "-it", name, "sh", "-c", "echo ready; exec sleep 777")
    gone.wait_for("ready")
    os.kill(gone.pid, signal.SIGKILL)
    gone.status()
    end = time.monotonic() + PATIENCE
    left = Terminal(septum.binary, "exec", "-it", name, "sh", "-c", "echo ready; exec sleep 7777")
    left.wait_for("ready")
    left.type("\x10\x11")
    expect(left.status(), 0)
    while "777" in septum.ask("exec", name, "ps", "-ef"):
        assert time.monotonic() < end, "it goes on"
        time.sleep(0.1)
    septum.ask("kill", name)


def main():
    case, binary, *options = sys.argv[1:]
    os.environ.setdefault("TERM", "xterm")
    globals()[case](Septum(binary, options))


if __name__ == "__main__":
    main()
