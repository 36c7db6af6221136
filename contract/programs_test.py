"""Programs that are written for other services work under `strongroom run`
with a key that is nowhere but in the run: the official Python clients of two
services, against a server that stands in for them and checks the key. What
they print of it is masked."""

import base64
import json
import os
import secrets
import subprocess
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from instance import Instance

PATIENCE_SECONDS = 60

#: Both ask for the key in their environment, as their own documentation says.
OPENAI = """
import openai
client = openai.OpenAI()
answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
print(answer.choices[0].message.content)
"""
STRIPE = """
import os, stripe
client = stripe.StripeClient(os.environ["STRIPE_API_KEY"], base_addresses={"api": os.environ["STRIPE_URL"]})
print(client.v1.customers.retrieve("cus_1").name)
"""
#: Prints its whole environment, then a value in each encoding, all of it a byte at a time.
LEAKY = """
import base64, json, os, sys, urllib.parse
value = os.environ["LEAKY_VALUE"]
raw = value.encode()
everything = [
    repr(dict(os.environ)), value, base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode(),
    raw.hex(), raw.hex().upper(), urllib.parse.quote(value, safe=""), json.dumps(value),
    base64.b64encode(b"a" + raw).decode(), base64.b64encode(b"ab" + raw).decode(),
]
for stream in (sys.stdout.buffer.raw, sys.stderr.buffer.raw):
    for byte in "\\n".join([*everything, "the end\\n"]).encode():
        stream.write(bytes([byte]))
"""


class StandIn(BaseHTTPRequestHandler):
    """As much of both services as one call needs. Refuses any key but the right one."""

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        name, content = self.server.answers[self.path]
        right = bearer == self.server.keys[name]
        if right:
            self.server.seen.append(name)
            self.server.look(bearer)
        content = json.dumps(content if right else {"error": {"message": "wrong key", "type": "auth"}}).encode()
        self.send_response(200 if right else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture
def services():
    """The stand-in, on a thread of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    message = {"role": "assistant", "content": "hello from the stand-in"}
    server.answers = {
        "/v1/chat/completions": ("openai", {"id": "1", "object": "chat.completion", "created": 1, "model": "m",
                                            "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}),
        "/v1/customers/cus_1": ("stripe", {"id": "cus_1", "object": "customer", "name": "Ada"}),
    }  # fmt: skip
    server.keys = {"openai": f"sk-{secrets.token_urlsafe(32)}", "stripe": f"sk_live_{secrets.token_hex(16)}"}
    server.seen, server.look = [], lambda _: None
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def instance():
    with Instance() as instance:
        yield instance


def agent_with(instance, values):
    """An agent whose one revision has these values; its id."""

    def made(path, body):
        status, content = instance.call("POST", path, body)
        assert status == 201, content
        return content

    agent = made(f"/v2/teams/{instance.team}/agents", {"name": "bot"})["agent"]["id"]
    build = made(f"/v2/agents/{agent}/revisions", {"name": "first"})["build"]["id"]
    secret = made("/v1/credentials", {"name": "keys", "values": values})["id"]
    made(f"/v2/agents/{agent}/revisions/{build}/credentials", {"credentialId": secret})
    return agent


def run(instance, agent, program, *options, **environment):
    """The program under `strongroom run`, with nothing of ours in its own environment."""
    command = instance.command("run", "--agent", agent, *options, "--", sys.executable, "-c", program)
    environment |= {"PATH": os.defpath, "STRONGROOM_URL": instance.url, "STRONGROOM_API_KEY": instance.key}
    environment["HOME"] = str(instance.place)
    return ran(command, environment)


def ran(command, environment):
    return subprocess.run(
        command,
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
    )


def disguises(value):
    """The value as it is, and in each encoding that programs print."""
    raw = value.encode()
    return {
        "raw": raw,
        "base64": base64.b64encode(raw).rstrip(b"=")[:-1],
        "base64url": base64.urlsafe_b64encode(raw).rstrip(b"=")[:-1],
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "percent": urllib.parse.quote(value, safe="").encode(),
        "json": json.dumps(value)[1:-1].encode(),
        "base64, one off": base64.b64encode(b"a" + raw)[4:-4],
        "base64, two off": base64.b64encode(b"ab" + raw)[4:-4],
    }


def shown(value, text):
    return {name for name, disguise in disguises(value).items() if disguise in text}


def on_this_machine(value):
    """Processes in whose command line the value is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if value.encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
        except OSError:
            continue  # It ended just now.
    return found


def test_official_clients_work_with_a_key_that_is_nowhere_else(instance, services):
    keys, urls = services.keys, {"OPENAI_BASE_URL": f"{services.url}/v1", "STRIPE_URL": services.url}
    agent = agent_with(instance, {"OPENAI_API_KEY": keys["openai"], "STRIPE_API_KEY": keys["stripe"]})
    in_arguments = []
    services.look = lambda key: in_arguments.extend(on_this_machine(key))
    for name, program, says in [("openai", OPENAI, b"hello from the stand-in"), ("stripe", STRIPE, b"Ada")]:
        done = run(instance, agent, program, **urls)
        assert (done.returncode, done.stdout.strip(), done.stderr) == (0, says, b"")
        assert services.seen[-1] == name
    assert in_arguments == []
    # The control: without a run there is no key, and a wrong one is refused.
    bare = {"PATH": os.defpath} | urls
    assert ran([sys.executable, "-c", OPENAI], bare).returncode != 0
    assert b"wrong key" in ran([sys.executable, "-c", OPENAI], bare | {"OPENAI_API_KEY": "sk-wrong"}).stderr


def test_a_key_is_neither_in_the_database_nor_in_the_log(instance, services):
    key = services.keys["openai"]
    agent = agent_with(instance, {"OPENAI_API_KEY": key})
    assert run(instance, agent, OPENAI, OPENAI_BASE_URL=f"{services.url}/v1").returncode == 0
    everything = b"".join(file.read_bytes() for file in instance.place.rglob("*") if file.is_file())
    assert shown(key, everything) == set()
    assert b"OPENAI_API_KEY" in everything, "the control: its name is"


@pytest.mark.parametrize("value", ["sk-live-4eC39HqLyjWD/arj+tT1=zdp7dc", 'päss "word" \\ 日本語/?&', "8 chars!"])
def test_what_a_program_prints_is_masked_byte_by_byte(instance, value):
    agent = agent_with(instance, {"LEAKY_VALUE": value})
    masked = run(instance, agent, LEAKY)
    assert masked.returncode == 0, masked.stderr
    for stream in (masked.stdout, masked.stderr):
        assert b"the end" in stream
        assert shown(value, stream) == set()
        assert b"***" in stream
    plain = run(instance, agent, LEAKY, "--no-mask")
    assert shown(value, plain.stdout) >= {"raw", "base64", "hex", "HEX", "percent"}, "the control"


def test_the_exit_code_is_the_programs(instance):
    agent = agent_with(instance, {"KEY": "x"})
    assert run(instance, agent, "raise SystemExit(7)").returncode == 7
    assert run(instance, agent, "import os, signal; os.kill(os.getpid(), signal.SIGTERM)").returncode == 128 + 15
