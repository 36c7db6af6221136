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

from apart import PUBLIC_ADDRESS, Apart
from instance import Instance

GUIDES = Path(__file__).parent.parent / "docs/guides"
#: What the guide has for the server's address; the test takes a free port.
ADDRESS = "127.0.0.1:8700"
PATIENCE_SECONDS = 60
#: What the shell shows when it waits for the next line.
READY = "ready> "


def blocks(guide, section=None):
    """The commands of a guide or of one section: of which terminal, and the lines."""
    guide = (GUIDES / guide).read_text()
    if section:
        guide = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", guide, re.MULTILINE | re.DOTALL)[1]
    return [
        ("server" if "server" in info else "shell", text.strip().splitlines())
        for info, text in re.findall(r"^```sh([^\n]*)\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
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
                try:
                    more = os.read(self._ours, 65_536)
                except OSError:
                    raise AssertionError(f"it ended without {pattern!r}; it showed:\n{self.shown}") from None
                self.shown += more.decode(errors="replace").replace("\r", "")
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
    """One whose next port is free as well, for the broker; below those that the system gives to whoever connects."""
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        try:
            with socket.socket() as server, socket.socket() as broker:
                server.bind(("127.0.0.1", port))
                broker.bind(("127.0.0.1", port + 1))
        except OSError:
            continue
        return f"127.0.0.1:{port}"


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


def test_the_guide_about_the_audit_works_as_printed(place):
    with Instance() as instance:
        environment = {
            "PATH": f"{place / 'bin'}:{os.defpath}",
            "STRONGROOM_URL": instance.url,
            "STRONGROOM_API_KEY": instance.key,
        }
        shell = Terminal(["bash", "--norc", "--noprofile"], place, environment)
        try:
            shell.wait_for(READY)
            follow(shell, ["sleep 2  # until the first head is signed"], {"(?!)": ""})
            data = f"--data-dir {instance.place / 'data'}"
            lines = [
                line.replace("--data-dir strongroom-data", data) for _, block in blocks("audit.md") for line in block
            ]
            shown = [follow(shell, [line], {"(?!)": ""}) for line in lines]
        finally:
            shell.close()
    assert len(shown) == 9
    assert "instance.created" in shown[0]
    assert "the first, kept in witness.log" in shown[3]
    assert "since the head was signed" in shown[5]
    assert re.search(r"(?m)^heads held +1$", shown[7])
    assert "All is well." in shown[8]


def test_the_isolated_command_of_a_guide_has_no_other_way_out():
    [text] = re.findall(r"^```sh isolated\n(.*?)^```$", (GUIDES / "broker.md").read_text(), re.MULTILINE | re.DOTALL)
    with Apart() as apart:
        apart.agent()
        for name, script in {
            "isolated": text,
            "agent": "#!/bin/sh\ncurl -sS https://api.openai.com/ && ip -brief link | wc -l\n"
            f"curl --noproxy '*' -k https://{PUBLIC_ADDRESS}/ || curl --noproxy '*' {apart.url}/healthz || exit 3",
        }.items():
            (apart.place / name).write_text(script)
            (apart.place / name).chmod(0o700)
        done = apart.run("./isolated", "./agent")
    assert done.returncode == 3, done.stderr
    answer, links = done.stdout.strip().splitlines()
    assert '"error":"no_rule"' in answer
    assert links == "1"


def test_the_guide_about_the_broker_works_as_printed(place):
    value, shown = f"sk-{secrets.token_hex(20)}", []
    with Apart() as apart:
        agent, revision = apart.agent()
        secret = apart.strongroom("secrets", "create", "--name", "OpenAI", "--value", f"OPENAI_API_KEY={value}")["id"]
        apart.attach(agent, revision, secret)
        environment = {
            "PATH": f"{place / 'bin'}:{os.defpath}",
            "STRONGROOM_URL": apart.url,
            "STRONGROOM_API_KEY": apart.key,
        }
        shell = Terminal(apart.around(["bash", "--norc", "--noprofile"]), apart.place, environment)
        try:
            shell.wait_for(READY)
            for _, lines in blocks("broker.md", "First steps"):
                for line in lines:
                    shown.append(follow(shell, [line], {"(?!)": ""}))
                    # Its record comes a moment later; people type slower than that.
                    until = time.monotonic() + PATIENCE_SECONDS
                    while "is on record." in shown[-1] and time.monotonic() < until:
                        shown[-1] = follow(shell, [line], {"(?!)": ""})
        finally:
            shell.close()
        left = apart.run("true")
        without = apart.inside(*apart.command("run", "--agent", "helper", "--", "env"))
    assert value not in shell.shown
    assert len(shown) == 10
    assert "api.openai.com" in shown[2]
    assert re.search(r"(?m)^sk-[\w-]+$", shown[3])
    assert "*" * len(value) in shown[4]
    assert '"error":"no_rule"' in shown[5]
    assert '"error":"placeholder_misplaced"' in shown[6]
    assert "placeholder_misplaced" in shown[7]
    assert (left.returncode, without.returncode) == (0, 0)
    assert "OPENAI_API_KEY" not in without.stdout
