"""Programs that know nothing of the broker go through it, with placeholders alone: the services get the
values, and the programs no piece of them, though the services send back whatever they were sent."""

import base64
import json
import re
import secrets
import sys
import time
from pathlib import Path

import pytest

from apart import BROKER, Abroad, Apart

GUIDE = Path(__file__).parent.parent / "docs/guides/broker.md"
SPECIFICATION = Path(__file__).parent.parent / "docs/reference/openapi.json"
#: Secrets: the service that it is for, and what its values begin with. None: it has a policy of its own.
SECRETS = {
    "OPENAI_API_KEY": ("openai", "sk-proj-"),
    "STRIPE_API_KEY": ("stripe", "sk_live_"),
    "GITHUB_TOKEN": ("github", "ghp_"),
    "ECHO_TOKEN": (None, "echo-"),
}
POLICY = {
    "rules": [
        {"host": host, "port": port, "placement": {"header": "authorization", "scheme": "Bearer"}}
        for host, port in [("echo.example.com", 443), ("grpc.example.com", 8443)]
    ],
    "broker_only": True,
}
#: How many characters in a row of a value's end are a find.
PIECE = 6


class Stage:
    """The instance, an agent with secrets, and what those are."""

    def __init__(self, apart):
        self.apart = apart
        self.values = {key: prefix + secrets.token_hex(20) for key, (_, prefix) in SECRETS.items()}
        self.agent, revision = apart.agent()
        self.secrets = []
        policy = apart.place / "policy.json"
        policy.write_text(json.dumps(POLICY))
        for key, (service, _) in SECRETS.items():
            about = ["--name", key, "--value", f"{key}={self.values[key]}"]
            about += ["--service-slug", service] if service else []
            made = apart.strongroom("secrets", "create", *about)["id"]
            if not service:
                apart.strongroom("secrets", "set-policy", made, "--file", str(policy))
            apart.attach(self.agent, revision, made)
            self.secrets.append(made)

    def find(self, text):
        """Names of the values of which there is a piece in a text."""
        found = []
        for key, (_, prefix) in SECRETS.items():
            value = self.values[key]
            tail = value.removeprefix(prefix)
            pieces = {tail[at : at + PIECE] for at in range(len(tail) - PIECE + 1)}
            shifted = {base64.b64encode(bytes(by) + value.encode()).decode()[8:-8] for by in range(3)}
            if any(piece in text for piece in pieces | shifted | {value.encode().hex()}):
                found.append(key)
        return found


@pytest.fixture(scope="module")
def stage():
    with Apart() as apart:
        yield Stage(apart)


def python(text):
    return [sys.executable, "-c", text]


def sh(text):
    return ["sh", "-c", text]


def node(text):
    return ["node", "--input-type=module", "--eval", text]


def php(text):
    return ["php", "--run", text]


def ruby(text):
    return ["ruby", "-e", text]


def perl(text):
    return ["perl", "-e", text]


def go(text):
    return sh(f"cd \"$(mktemp -d -p $HOME)\" && cat > main.go <<'END' && go run main.go\n{text}\nEND")


def java():
    """What the guide says, around which there is only a class."""
    guide = re.search(r"(?ms)^### Java$(.*?)^## ", GUIDE.read_text())[1]
    commands, program = (re.search(rf"(?ms)^```{form}$(.*?)^```$", guide)[1] for form in ("sh java", "java"))
    main = f"""
        import java.net.*; import java.net.http.*; import java.util.*;
        public class Main {{
            public static void main(String[] none) throws Exception {{
                {program}
                var answer = client.send(request, HttpResponse.BodyHandlers.ofString());
                System.out.println(answer.version() + " " + answer.statusCode());
                System.out.println(answer.headers().map() + answer.body());
            }}
        }}"""
    return sh(f"cd \"$(mktemp -d -p $HOME)\" && cat > Main.java <<'END' && set -e\n{main}\nEND\n{commands}")


CURL_BEARER = '-H "Authorization: Bearer $GITHUB_TOKEN"'
BEARER = '{"authorization": "Bearer " + os.environ["GITHUB_TOKEN"]}'
URL = "https://api.github.com/user?page=1"
NODE_BEARER = "{ headers: { authorization: `Bearer ${process.env.GITHUB_TOKEN}` } }"
#: Each with the secret that it uses, and what else it shows when it was done right.
CLIENTS = {
    "curl": ("GITHUB_TOKEN", "HTTP/1.1 200", sh(f"curl -sSi --http1.1 '{URL}' {CURL_BEARER}")),
    "curl-http2": ("GITHUB_TOKEN", "HTTP/2 200", sh(f"curl -sSi --http2 '{URL}' {CURL_BEARER}")),
    "openai": (
        "OPENAI_API_KEY",
        '"object":"customer"',
        python("from openai import OpenAI; print(OpenAI(max_retries=0).models.list().model_dump_json())"),
    ),
    "stripe": (
        "STRIPE_API_KEY",
        '"object": "customer"',
        python(
            "import os, stripe; stripe.api_key = os.environ['STRIPE_API_KEY']\n"
            "stripe.ca_bundle_path = os.environ['SSL_CERT_FILE']\n"
            "print(stripe.Customer.list(limit=3)); print(stripe.Customer.list(email='a@b.example').data[0].told)"
        ),
    ),
    "requests": (
        "GITHUB_TOKEN",
        "200",
        python(
            f"import os, requests; a = requests.get('{URL}', headers={BEARER}); print(a.status_code, a.headers, a.text)"
        ),
    ),
    "httpx": (
        "GITHUB_TOKEN",
        "HTTP/1.1 200",
        python(
            f"import httpx, os; a = httpx.get('{URL}', headers={BEARER}); "
            "print(a.http_version, a.status_code, a.headers, a.text)"
        ),
    ),
    "httpx-http2": (
        "GITHUB_TOKEN",
        "HTTP/2 200",
        python(
            f"import httpx, os; a = httpx.Client(http2=True).get('{URL}', headers={BEARER}); "
            "print(a.http_version, a.status_code, a.headers, a.text)"
        ),
    ),
    "urllib": (
        "GITHUB_TOKEN",
        "200",
        python(
            "import os; from urllib.request import Request, urlopen; "
            f"a = urlopen(Request('{URL}', headers={BEARER})); print(a.status, a.headers, a.read().decode())"
        ),
    ),
    "node-fetch": (
        "GITHUB_TOKEN",
        "200",
        node(
            f"const a = await fetch('{URL}', {NODE_BEARER}); "
            "console.log(a.status, JSON.stringify([...a.headers]), await a.text())"
        ),
    ),
    "node-https": (
        "GITHUB_TOKEN",
        "200",
        node(
            f"import https from 'node:https'; https.get('{URL}', {NODE_BEARER}, (a) => {{"
            "console.log(a.statusCode, JSON.stringify(a.headers)); a.pipe(process.stdout); })"
        ),
    ),
    "wget": (
        "GITHUB_TOKEN",
        "HTTP/1.1 200",
        sh(f"wget --server-response --quiet -O - --header \"Authorization: Bearer $GITHUB_TOKEN\" '{URL}'"),
    ),
    "php-curl": (
        "GITHUB_TOKEN",
        "HTTP/2 200",
        php(
            f"$c = curl_init('{URL}'); curl_setopt($c, CURLOPT_HEADER, true);"
            "curl_setopt($c, CURLOPT_HTTPHEADER, ['Authorization: Bearer ' . getenv('GITHUB_TOKEN')]);"
            "exit(curl_exec($c) ? 0 : 1);"
        ),
    ),
    "ruby": (
        "GITHUB_TOKEN",
        "200",
        ruby(
            f"require 'net/http'; a = Net::HTTP.get_response(URI('{URL}'), "
            "{ 'authorization' => \"Bearer #{ENV['GITHUB_TOKEN']}\" }); puts a.code, a.to_hash, a.body"
        ),
    ),
    "perl": (
        "GITHUB_TOKEN",
        "HTTP/1.1 200",
        perl(
            f"use LWP::UserAgent; my $a = LWP::UserAgent->new->get('{URL}', "
            'Authorization => "Bearer $ENV{GITHUB_TOKEN}"); print $a->as_string'
        ),
    ),
    "go": (
        "GITHUB_TOKEN",
        "HTTP/2.0 200",
        go(
            'package main\nimport ("io"; "net/http"; "os")\nfunc main() {\n'
            f'    request, _ := http.NewRequest("GET", "{URL}", nil)\n'
            '    request.Header.Set("Authorization", "Bearer " + os.Getenv("GITHUB_TOKEN"))\n'
            "    answer, err := http.DefaultClient.Do(request)\n"
            "    if err != nil { panic(err) }\n"
            "    body, _ := io.ReadAll(answer.Body)\n"
            "    println(answer.Proto, answer.StatusCode, string(body))\n"
            "    answer.Header.Write(os.Stdout)\n}"
        ),
    ),
    "java": ("GITHUB_TOKEN", "HTTP_2 200", java()),
    "git": (
        "GITHUB_TOKEN",
        "the first",
        sh(
            'cd "$(mktemp -d -p $HOME)" && '
            'GIT_TRACE_CURL=1 git clone "https://ada:$GITHUB_TOKEN@github.com/acme/tool.git" && '
            "git -C tool log"
        ),
    ),
    "websocket": (
        "ECHO_TOKEN",
        "echoed: hello",
        python(
            "import os\nfrom websockets.sync.client import connect\n"
            "who = {'authorization': 'Bearer ' + os.environ['ECHO_TOKEN']}\n"
            "with connect('wss://echo.example.com/socket', additional_headers=who) as socket:\n"
            "    print(socket.recv()); socket.send('hello'); print('echoed:', socket.recv())"
        ),
    ),
    "grpc": (
        "ECHO_TOKEN",
        "hello",
        python(
            "import grpc, os\n"
            "channel = grpc.secure_channel('grpc.example.com:8443', grpc.ssl_channel_credentials())\n"
            "who = [('authorization', 'Bearer ' + os.environ['ECHO_TOKEN'])]\n"
            "answer, call = channel.unary_unary('/standin.Echo/Say').with_call(b'hello', metadata=who, timeout=20)\n"
            "print(answer, call.trailing_metadata())"
        ),
    ),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_as_it_is_reaches_its_service(stage, name):
    key, shown, command = CLIENTS[name]
    stage.apart.notes()
    done = stage.apart.run(*command, GIT_TERMINAL_PROMPT="0")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    value, notes = stage.values[key], stage.apart.notes()
    credentials = [note["headers"]["authorization"] for note in notes if "authorization" in note["headers"]]
    expected = f"Bearer {value}"
    if name == "git":
        expected = "Basic " + base64.b64encode(f"ada:{value}".encode()).decode()
    assert credentials, notes
    assert set(credentials) == {expected}
    assert shown in said
    assert "*" * len(value) in said, "what came back was looked through"
    assert stage.find(said) == []


def test_the_command_has_placeholders_and_one_token_of_ours(stage):
    done = stage.apart.run("env", "-0", STRONGROOM_PROFILE="", KEPT="yes")
    assert done.returncode == 0, done.stderr
    variables = dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)
    assert stage.find(done.stdout) == []
    assert variables["KEPT"] == "yes"
    for key, (_, prefix) in SECRETS.items():
        assert variables[key] not in ("", stage.values[key])
        assert variables[key].startswith("srp_" if key == "ECHO_TOKEN" else prefix.removesuffix("proj-"))
    assert [name for name in variables if name.startswith("STRONGROOM_")] == []
    tokens = set(re.findall(r"sr[a-z]_\w+", done.stdout)) - {variables["ECHO_TOKEN"]}
    assert [token[:4] for token in tokens] == ["srb_"]
    assert stage.apart.key not in done.stdout
    for name in ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"):
        assert not Path(variables[name]).exists(), "what the command needed is gone with it"


#: Sends the requests of a file, with each of its credentials that is in the environment.
EVERYTHING = r"""
import http.client, json, os, re, sys
where, requests = json.load(open(sys.argv[1]))
token = re.search(r"srb_\w+", os.environ["HTTPS_PROXY"])[0]
bearers = [token, *(os.environ[key] for key in sys.argv[2:])]
for method, path in requests:
    for bearer in bearers:
        connection = http.client.HTTPConnection(where, timeout=30)
        headers = {"authorization": f"Bearer {bearer}", "content-type": "application/json"}
        connection.request(method, path, "{}" if method in ("POST", "PUT", "PATCH") else None, headers)
        answer = connection.getresponse()
        print(json.dumps([method, path, answer.status, answer.read().decode(errors="replace")]))
"""


def operations(stage):
    """Each operation that asks who calls, at things that are there."""
    known = {"teamId": stage.apart.team, "agentId": stage.agent, "userId": stage.apart.user}
    for path, methods in json.loads(SPECIFICATION.read_text())["paths"].items():
        concrete = re.sub(r"\{(\w+)\}", lambda name: known.get(name[1], stage.secrets[0]), path)
        for method, operation in methods.items():
            if operation.get("security") != [{}]:
                yield method.upper(), concrete


def test_the_whole_api_has_nothing_for_what_the_command_has(stage):
    requests = list(operations(stage))
    assert len(requests) > 70
    (stage.apart.place / "requests.json").write_text(json.dumps([stage.apart.url[7:], requests]))
    done = stage.apart.run(*python(EVERYTHING), "requests.json", *SECRETS)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(requests) * (1 + len(SECRETS))
    assert [answer for answer in answers if answer[2] not in (401, 404)] == []
    assert stage.find(done.stdout) == []


#: Starts a run, and shows what its own token opens.
OWN_TOKEN = r"""
import json, sys; from urllib.request import Request, urlopen
where, team, key, agent, mode = sys.argv[1:]
def call(path, bearer, body=None):
    headers = {"authorization": f"Bearer {bearer}", "content-type": "application/json"}
    return json.load(urlopen(Request(where + path, body and json.dumps(body).encode(), headers)))
run = call(f"/v2/teams/{team}/runs", key, {"agent_id": agent, "mode": mode})
print(json.dumps(call("/v2/run/environment", run["token"])["environment"]))
"""


def test_the_runs_own_token_opens_its_environment(stage):
    for mode, expected in (("inject", {"OPENAI_API_KEY", "STRIPE_API_KEY", "GITHUB_TOKEN"}), ("broker", set())):
        about = [stage.apart.url, stage.apart.team, stage.apart.key, stage.agent, mode]
        done = stage.apart.inside(*python(OWN_TOKEN), *about)
        assert done.returncode == 0, done.stderr
        assert set(stage.find(done.stdout)) == expected
        assert set(json.loads(done.stdout)) == expected or mode == "broker"


def recorded(stage, run, expected, within=10.0):
    """The requests of a run, once what is expected is among them: a record is written a moment after its request."""
    deadline = time.monotonic() + within
    while True:
        shown = stage.apart.inside(*stage.apart.command("runs", "requests", run)).stdout
        if expected in shown:
            return shown
        assert time.monotonic() < deadline, f"no {expected} on record: {shown}"
        time.sleep(0.05)


def test_what_was_asked_for_is_on_record(stage):
    done = stage.apart.run(*CLIENTS["curl"][2])
    assert done.returncode == 0, done.stderr
    refused = stage.apart.run(*sh(f"curl -sS https://echo.example.com/ {CURL_BEARER}"))
    answer = json.loads(refused.stdout)
    assert answer["error"] == "placeholder_misplaced"
    runs = stage.apart.strongroom("runs", "list")["data"]
    assert {run["mode"] for run in runs[:2]} == {"broker"}
    shown = [
        recorded(stage, run["id"], expected)
        for run, expected in zip(runs, ("placeholder_misplaced", "api.github.com/user"), strict=False)
    ]
    assert stage.find("".join(shown)) == []


def test_node_goes_by_the_proxy_but_to_this_machine(stage):
    text = f"""
        import http from 'node:http';
        const by = (url) => new Promise((done) => http.get(url, (a) => done(a.resume().statusCode)));
        const health = '{stage.apart.url}/healthz', plain = 'http://api.github.com/';
        console.log((await fetch(health)).status, await by(health), (await fetch(plain)).status, await by(plain));
    """
    began = time.monotonic()
    done = stage.apart.run(*node(text))
    assert (done.returncode, done.stdout) == (0, "200 200 403 403\n"), done.stderr
    assert time.monotonic() - began < 10, "a connection that is kept doesn't keep the program"


def test_a_broker_abroad_is_reached_inside_tls():
    with Abroad() as apart:
        stage = Stage(apart)
        assert BROKER in apart.log.read_text()
        for name in ("curl-http2", "node-https", "websocket", "grpc"):
            key, shown, command = CLIENTS[name]
            done = apart.run(*command)
            said = done.stdout + done.stderr
            assert done.returncode == 0, said
            assert shown in said
            assert stage.find(said) == []
            assert f"Bearer {stage.values[key]}" in [note["headers"].get("authorization") for note in apart.notes()]
        door = apart.run(*sh('echo "$HTTPS_PROXY"'))
    assert re.search(r"@127\.0\.0\.1:\d+$", door.stdout.strip()), "the command knows of a door here alone"
