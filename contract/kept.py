"""An instance whose root key is elsewhere: made, served, and refused with one sentence and not a byte changed."""

import hashlib
import os
import re
import sqlite3
import subprocess
import time
from contextlib import contextmanager

from instance import PATIENCE_SECONDS, Instance

#: The whole contact with a keeper takes no longer, and starting and ending the program little.
DEADLINE_SECONDS, BESIDE_SECONDS = 10, 3


class Kept:
    """An instance whose root key is elsewhere. Options are given as a dictionary; None takes one away."""

    def __init__(self, place, kind, env, options):
        self.data, self._recovery = place / "data", place / "recovery.key"
        self._place, self._kind, self._env, self._options = place, kind, env, options
        self.secrets = []

    def _command(self, name, options, *more):
        options = self._options | options
        options = [f"--{option}={value}" for option, value in options.items() if value is not None]
        return Instance.command(name, "--data-dir", self.data, *more, *options)

    def _run(self, command, env=None):
        started = time.monotonic()
        done = subprocess.run(
            command, cwd=self._place, env={"PATH": os.defpath} | (self._env if env is None else env),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip
        assert time.monotonic() - started < DEADLINE_SECONDS + BESIDE_SECONDS, done.stderr
        for secret in self.secrets:
            assert secret not in done.stderr + done.stdout
        return done

    def init(self, **options):
        more = ["--root-key", self._kind, "--recovery-key-file", self._recovery]
        return self._run(self._command("init", spelled(options), *more))

    def made(self, **options):
        done = self.init(**options)
        assert done.returncode == 0, done.stderr
        return done

    def not_made(self, *words, **options):
        done = self.init(**options)
        sentence(done, words)
        assert not self.data.exists(), "nothing is left"

    @contextmanager
    def served(self, **options):
        """The server's URL."""
        command = self._command("serve", spelled(options), "--listen", "127.0.0.1:0")
        with (self._place / "serve.log").open("w") as log:
            server = subprocess.Popen(
                command, cwd=self._place, env={"PATH": os.defpath} | self._env, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        try:
            line = server.stdout.readline()
            assert "listening on http://" in line, (self._place / "serve.log").read_text()
            yield line[line.index("http://") :].strip()
        finally:
            server.terminate()
            server.wait(PATIENCE_SECONDS)
            server.stdout.close()

    def serves(self, **options):
        with self.served(**options):
            pass

    def keys(self, *words, **options):
        """`strongroom keys` with these words, which does it."""
        chosen = self._options | spelled(options)
        chosen = [f"--{option}={value}" for option, value in chosen.items() if value is not None]
        done = self._run(Instance.command("keys", *words, "--data-dir", self.data, *chosen))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def now_with(self, env, **options):
        """From here on its root key is found by these."""
        self._env, self._options = self._env | env, self._options | spelled(options)

    def refused(self, *words, env=None, **options):
        """`serve` says these words, and the database keeps its bytes."""
        before = self.bytes()
        sentence(self._run(self._command("serve", spelled(options), "--listen", "127.0.0.1:0"), env), words)
        assert self.bytes() == before, words

    def bytes(self):
        """The database's, and those of its log, which may be empty or absent."""
        log = self.data / "strongroom.db-wal"
        log = log.read_bytes() if log.exists() else b""
        return [hashlib.sha256(part).hexdigest() for part in ((self.data / "strongroom.db").read_bytes(), log)]


def spelled(options):
    return {name.replace("_", "-"): value for name, value in options.items()}


def sentence(done, words):
    """One error in one line, and one line of what to do; nothing on standard output."""
    assert done.returncode == 1, done.stdout
    assert re.fullmatch(r"error: [^\n]+\nhint: [^\n]+\n", done.stderr), done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr, done.stderr


def sql(kept, statement):
    """What a statement comes to, behind the server's back."""
    with sqlite3.connect(kept.data / "strongroom.db") as database:
        row = database.execute(statement).fetchone()
    database.close()
    return row and row[0]
