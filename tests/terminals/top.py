"""`septum top` under tmux, which tells what is on the screen, and in a bare terminal, which tells how it is left.

    python3 top.py CASE SEPTUM [OPTIONS OF run]
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time

from cases import PATIENCE, Septum, Terminal, expect

LEAVES = "\x1b[?1049l"


class Tmux:
    """A terminal of tmux, in which a shell runs."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "env PS1='shell> ' sh")

    def tmux(self, *arguments):
        # A server of its own, in the folder of the test.
        done = subprocess.run(["tmux", "-u", "-S", "tmux", *arguments], capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done
        return done.stdout

    def __enter__(self):
        # Waited for here, so that whatever happens ends the server.
        try:
            self.wait_for("shell>")
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.tmux("kill-server")

    def type(self, *keys):
        self.tmux("send-keys", *keys)

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def wait_for(self, pattern, without=None):
        """Until the screen has the one and not the other."""
        end = time.monotonic() + PATIENCE
        while True:
            screen = self.screen()
            if re.search(pattern, screen) and not (without and re.search(without, screen)):
                return screen
            assert time.monotonic() < end, f"{pattern!r} without {without!r} never came; there is\n{screen}"
            time.sleep(0.05)


def command(septum, *options):
    return " ".join(shlex.quote(word) for word in [septum.binary, "top", *options])


def start(septum, name, script, *options):
    return septum.start("sh", "-c", script, options=["--memory", "64M", "--name", name, *options])


def keys_sort_filter_and_look(septum):
    start(septum, "busy", "while :; do head -c 100000 /dev/zero > /tmp/x; done")
    start(septum, "idle", "exec sleep 1000")
    start(septum, "held", "exec sleep 1000")
    septum.ask("pause", "held")
    with Tmux(100, 30) as terminal:
        terminal.type(command(septum, "-d", "0.3"), "Enter")
        # With its rates, which need two readings.
        screen = terminal.wait_for(r"\nbusy +\d*[1-9]\d*\.\d +[\d.]+MiB +[\d.]+k? ")
        assert "3 running" in screen and re.search(r"\nheld +paused", screen), screen
        expect(screen.splitlines()[3].split()[0], "busy")
        terminal.type("A", "A")
        terminal.wait_for(r"idle[^\n]*\nheld[^\n]*\nbusy")
        terminal.type("/", "id")
        terminal.wait_for(r"1 running of 3[^\n]*\n\nNAME[^\n]*\nidle", without="busy")
        terminal.type("Enter", "Enter")
        terminal.wait_for(r"THREAD +CPU %(.|\n)*0:sleep(.|\n)*EXIT(.|\n)*SYSTEM CALLS")
        terminal.type("Escape")
        terminal.wait_for(r"NAME +CPU %")
        terminal.type("?")
        terminal.wait_for("Any key goes back")
        terminal.type("x", "Escape")
        terminal.wait_for("busy", without="Any key goes back")
        terminal.type("P", "Home", "Enter")
        terminal.wait_for(r"^busy(.|\n)*data +[\d.]+k? ")
        # What one looks at ends.
        septum.ask("kill", "busy")
        terminal.wait_for("busy has ended(.|\n)*THREAD")
        terminal.type("Escape")
        terminal.wait_for("2 running", without=r"\nbusy")
        for columns, rows in [(20, 6), (200, 50), (3, 2), (1, 1), (80, 24)]:
            terminal.resize(columns, rows)
            time.sleep(0.2)
        terminal.wait_for(r"2 running(.|\n)*\nidle(.|\n)*q quit")
        terminal.type("q")
        # The screen is what it was before.
        terminal.wait_for(r"^shell>(.|\n)*\nshell>", without="2 running")
        terminal.type("echo status $?", "Enter")
        terminal.wait_for("status 0")


def one_that_is_silent_holds_up_nobody(septum):
    start(septum, "well", "while :; do head -c 100000 /dev/zero > /tmp/x; done")
    start(septum, "silent", "exec sleep 1000")
    supervisor = int(re.search(r'"supervisor": (\d+)', septum.ask("inspect", "silent")).group(1))
    with Tmux(90, 20) as terminal:
        terminal.type(command(septum, "-d", "0.2"), "Enter")
        terminal.wait_for(r"\nsilent +\d")
        os.kill(supervisor, signal.SIGSTOP)
        terminal.wait_for(r"\nsilent +silent")
        terminal.wait_for(r"\nwell +\d*[1-9]\d*\.\d")
        terminal.type("?")
        terminal.wait_for("Any key goes back")
        os.kill(supervisor, signal.SIGCONT)
        terminal.type("x")
        terminal.wait_for(r"\nsilent +\d", without="Any key")
        terminal.type("q")


def the_terminal_is_left_as_it_was(septum):
    start(septum, "idle", "exec sleep 1000")
    kill = lambda number: lambda terminal, pid: os.kill(pid, number)
    key = lambda text: lambda terminal, pid: terminal.type(text)
    for what, options, act, status in [
        ("q", "", key("q"), 0),
        ("Ctrl-C", "", key("\x03"), 0),
        ("enough", "-n 2 -d 0.1", None, 0),
        ("a panic", "--debug-panic", None, 101),
        ("TERM", "", kill(signal.SIGTERM), 128 + 15),
        ("INT", "", kill(signal.SIGINT), 128 + 2),
        ("HUP", "", kill(signal.SIGHUP), 128 + 1),
    ]:
        run = command(septum, *options.split())
        terminal = Terminal("bash", "--norc", "-c", f"stty -a > before; {run}; echo over $?; stty -a > after; read line", rows=30, columns=100)
        if act:
            terminal.wait_for("idle")
            children = subprocess.run(["pgrep", "-P", str(terminal.pid)], capture_output=True, text=True)
            act(terminal, int(children.stdout.split()[0]))
        found = terminal.wait_for(r"over (\d+)")
        expect((what, int(found.group(1))), (what, status))
        assert LEAVES in terminal.text and "\x1b[?25h" in terminal.text, (what, terminal.text)
        if status == 101:
            assert terminal.text.rindex("as --debug-panic wants it") > terminal.text.rindex(LEAVES), terminal.text
        terminal.type("\n")
        terminal.status()
        expect((what, open("after").read()), (what, open("before").read()))


def the_job_is_stopped_and_goes_on(septum):
    start(septum, "idle", "exec sleep 1000")
    terminal = Terminal("bash", "--norc", "-i", rows=30, columns=100)
    terminal.type(f"PS1='outside> '; {command(septum, '-d', '0.2')}\n")
    terminal.wait_for("idle")
    for stop in ["key", "signal"]:
        if stop == "key":
            terminal.type("\x1a")
        else:
            children = subprocess.run(["pgrep", "-P", str(terminal.pid)], capture_output=True, text=True)
            os.kill(int(children.stdout.split()[0]), signal.SIGTSTP)
        terminal.wait_for(re.escape(LEAVES))
        terminal.wait_for("Stopped")
        terminal.wait_for("outside> ")
        terminal.type("echo is $((40 + 2))\n")
        terminal.wait_for("is 42")
        terminal.type("fg\n")
        terminal.wait_for("idle")
    terminal.type("q")
    terminal.wait_for("outside> ")
    terminal.type("exit\n")
    terminal.status()


def a_terminal_that_goes_ends_it(septum):
    start(septum, "idle", "exec sleep 1000")
    terminal = Terminal(septum.binary, "top", "-d", "0.2", rows=30, columns=100)
    terminal.wait_for("idle")
    terminal.resize(20, 60)
    # All is drawn again, though nobody answers what a terminal might be asked.
    terminal.wait_for(r"NAME(.|\n)*idle")
    os.close(terminal.master)
    end = time.monotonic() + PATIENCE
    while not terminal.has_ended():
        assert time.monotonic() < end, "it goes on without its terminal"
        time.sleep(0.05)


def main():
    case, binary, *options = sys.argv[1:]
    globals()[case](Septum(binary, options))


if __name__ == "__main__":
    main()
