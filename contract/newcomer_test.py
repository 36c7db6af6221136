"""Somebody who never saw the program: from an empty directory to a call that works, in two minutes at most."""

import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager

import desk
from instance import PATIENCE_SECONDS, Instance

#: What is promised.
PROMISED_SECONDS = 120


@contextmanager
def started(place):
    """`strongroom dev` in an empty directory; what it says of itself."""
    command = Instance.command("dev", "--listen", "127.0.0.1:0")
    environment = {"PATH": os.defpath}
    with (place / "log").open("w") as log:
        dev = subprocess.Popen(
            command, cwd=place / "empty", env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=log, text=True,
        )  # fmt: skip
    try:
        yield dev.stdout
    finally:
        dev.terminate()
        dev.wait(PATIENCE_SECONDS)
        dev.stdout.close()


def link(said):
    """The link in what is said; all that is taken of it."""
    for line in said:
        if found := re.search(r"http\S+/setup/\S+", line):
            return found[0]
    raise AssertionError("no link was shown")


def test_a_newcomer_makes_a_call_within_two_minutes(chromium, tmp_path):
    assert shutil.which("curl"), "this test needs curl: apt-get install curl"
    (tmp_path / "empty").mkdir()
    begin = time.monotonic()
    with started(tmp_path) as said, chromium.page() as page:
        newcomer = desk.Person(page, "")
        newcomer.set_up(link(said))
        newcomer.follow("API keys")
        form = newcomer.opened("Make a key")
        form.fill("Name", "my first key")
        form.send("Make the key")
        call = page.locator("#call").inner_text()
        assert page.locator("#key").inner_text() in call
        done = subprocess.run(
            ["sh", "-c", call + " --silent --write-out '\n%{http_code}'"],
            env={"PATH": os.defpath}, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True,
        )  # fmt: skip
        took = time.monotonic() - begin
        assert page.complaints == []
    assert re.fullmatch(r"2\d\d", done.stdout.splitlines()[-1]), done.stdout
    assert took < PROMISED_SECONDS
    print(f"a newcomer needs {took:.1f} s")
