"""The guides work as they are printed, in a terminal, as somebody who has never
seen the program would follow them: each block is typed, each question answered,
and nothing asked for on the way is ever shown."""

import os
import pty
import re
import secrets
import select
import shutil
import signal
import socket
import termios
import time
from pathlib import Path

import pytest

from instance import Instance

GUIDES = Path(__file__).parent.parent / "docs/guides"
#: What the guide has for the server's address; the test takes a free port.
ADDRESS = "127.0.0.1:8700"
PATIENCE_SECONDS = 60
#: What the shell shows when it waits for the next line.
READY = "ready> "


def blocks(guide):
    """A guide's commands: of which terminal, and the lines."""
    return [
        ("server" if "server" in info else "shell", text.strip().splitlines())
        for info, text in re.findall(
            r"^```sh([^\n]*)\n(.*?)^```$", (GUIDES / guide).read_text(), re.MULTILINE | re.DOTALL
        )
    ]


class Terminal:
    """A process on a terminal of its own, at which somebody types."""

    def __init__(self, command, place, environment):
        environment = {"PATH": os.defpath, "HOME": str(place), "TERM": "dumb", "PS1": READY} | environment
        self._process, self._ours = pty.fork()
        if self._process == 0:
            os.chdir(place)
            os.execvpe(command[0], command, environment)
        self.shown = ""

    def wait_for(self, pattern, since=0):
        """Reads until the pattern was shown; the match."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not (found := re.search(pattern, self.shown[since:])):
            assert time.monotonic() < end, f"no {pattern!r} in:\n{self.shown}"
            if select.select([self._ours], [], [], 0.1)[0]:
                self.shown += os.read(self._ours, 65_536).decode(errors="replace").replace("\r", "")
        return found

    def type(self, line):
        os.write(self._ours, f"{line}\n".encode())

    def answer(self, text):
        """Types what isn't to be seen, once it wouldn't be."""
        end = time.monotonic() + PATIENCE_SECONDS
        while termios.tcgetattr(self._ours)[3] & termios.ECHO:
            assert time.monotonic() < end, f"it would be seen:\n{self.shown}"
            time.sleep(0.01)
        self.type(text)

    def close(self):
        """Hangs up, which ends whatever runs at a terminal."""
        os.close(self._ours)
        end = time.monotonic() + PATIENCE_SECONDS
        while os.waitpid(self._process, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                os.kill(self._process, signal.SIGKILL)
            time.sleep(0.05)


@pytest.fixture
def place(tmp_path):
    """An empty directory, with the program where a shell finds it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "strongroom").symlink_to(Instance.command()[0])
    return tmp_path


def free_address():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def follow(shell, lines, answers):
    """Types a block, answers what is asked, and waits for its end; what was shown."""
    start = len(shell.shown)
    for line in lines:
        since = len(shell.shown)
        shell.type(line)
        while True:
            asked = shell.wait_for(f"(?m)^(?P<ready>{READY})|{'|'.join(answers)}", since)
            since += asked.end()
            if asked["ready"]:
                break
            shell.answer(next(answer for question, answer in answers.items() if re.search(question, asked[0])))
        shell.type("echo status:$?")
        assert shell.wait_for(r"(?m)^status:(\d+)$", since)[1] == "0", f"{line}\n{shell.shown[start:]}"
        since += shell.wait_for(f"(?ms)^status:.*?^{READY}", since).end()
    return shell.shown[start:]


def test_the_first_guide_works_as_printed(place):
    assert shutil.which("jq"), "the guide uses jq; install it: apt-get install jq"
    address, value, newer = free_address(), f"sk-{secrets.token_hex(20)}", f"sk-{secrets.token_hex(20)}"
    path = {"PATH": f"{place / 'bin'}:{os.defpath}"}
    (place / "server").mkdir()
    [(where, start), *rest] = blocks("first-run.md")
    assert (where, start) == ("server", ["strongroom dev"])
    server = Terminal(["strongroom", "dev"], place / "server", path | {"STRONGROOM_LISTEN": address})
    shell = Terminal(["bash", "--norc", "--noprofile"], place, path)
    try:
        key = server.wait_for(r"srk_\w+")[0]
        shell.wait_for(READY)
        answers = {r"API key[^\n]*: ?$": key, r"OPENAI_API_KEY[^\n]*: ?$": value}
        shown = []
        for where, lines in rest:
            assert where == "shell"
            shown.append(follow(shell, [line.replace(ADDRESS, address) for line in lines], answers))
            if any("secrets create" in line for line in lines):
                answers[r"OPENAI_API_KEY[^\n]*: ?$"] = newer
    finally:
        shell.close()
        server.close()
    everything = shell.shown
    for hidden in (key, value, newer):
        assert hidden not in everything
    assert f"the key has {len(value)} characters" in everything
    assert "it is ***" in everything
    assert len(shown) == len(rest) == 9
    assert "These values were received" in shown[-1]
    assert "OPENAI_API_KEY" in shown[-1]


def set_up(page, link):
    page.goto(link)
    page.fill("#password", "correct horse battery staple")
    page.click("text=Set up and sign in")
    page.wait_for_url("**/overview")


def fill_in(page, link, value):
    page.goto(link)
    page.fill("textarea[name=value]", value)
    page.check("[name=attach]")
    page.click("text=Fill it in >> nth=-1")
    page.wait_for_selector("text=It is attached")


def test_the_guide_about_asking_works_as_printed(place, chromium):
    value, shown = f"sk-{secrets.token_hex(20)}", []
    with Instance() as instance, chromium.page() as page:
        environment = {
            "PATH": f"{place / 'bin'}:{os.defpath}",
            "STRONGROOM_URL": instance.url,
            "STRONGROOM_API_KEY": instance.key,
        }
        data = f"--data-dir {instance.place / 'data'} --public-url {instance.url}"
        shell = Terminal(["bash", "--norc", "--noprofile"], place, environment)
        try:
            shell.wait_for(READY)
            for _, lines in blocks("fill-requests.md"):
                here = [line.replace(ADDRESS, instance.url[7:]) for line in lines]
                # Nothing is asked for.
                shown.append(
                    follow(shell, [line.replace("--data-dir strongroom-data", data) for line in here], {"(?!)": ""})
                )
                if link := re.search(r"http://\S+/setup/\S+", shown[-1]):
                    set_up(page, link[0])
                if lines[-1].endswith("jq -r .url"):
                    fill_in(page, re.search(r"(?m)^http://\S+/fill/\S+", shown[-1])[0], value)
        finally:
            shell.close()
    assert value not in shell.shown
    assert len(shown) == 7
    assert re.search(r"(?m)^filled$", shown[4])
    assert f"the key has {len(value)} characters" in shown[5]
    assert "Mail" in shown[6]
