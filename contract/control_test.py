"""The client test can fail: it passes with a small server that keeps to the
description, and fails with the same server once that has one fault."""

import json
import os
import re
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

KEY = "key"
USER = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d"
TEAM = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7e"
ONE = r"/v[12]/credentials/([0-9a-f-]{36})"
ALL = rf"/v1/credentials|/v2/teams/{TEAM}/credentials"
OFFERED = (
    *((method, path) for path in ("/v1/credentials", "/v2/teams/{team}/credentials") for method in ("get", "post")),
    *((method, f"/{version}/credentials/{{id}}") for version in ("v1", "v2") for method in ("get", "patch", "delete")),
)


def now():
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Stub(BaseHTTPRequestHandler):
    """As much of a server as the client test needs. Keeps values in its secrets, and leaves them out of answers."""

    offers_more = ()
    protocol_version = "HTTP/1.1"
    # Head and body go out at once: a client that waits to acknowledge the head costs 40 ms an answer.
    wbufsize = -1

    def answer(self):
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        status, content = self.decide(body)
        content = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

    def decide(self, body):
        if self.path == "/openapi.json":
            return 200, self.server.description
        if self.headers["authorization"] != f"Bearer {KEY}":
            return 401, {"error": "invalid_token"}
        if body is not None and not sensible(body):
            return 400, {"error": "invalid_request"}
        if re.fullmatch(ALL, self.path):
            return (201, self.seen(self.create(body))) if self.command == "POST" else (200, self.listed())
        one = re.fullmatch(ONE, self.path)
        return self.decide_on(one[1], body) if one and one[1] in self.server.secrets else (404, {"error": "not_found"})

    def decide_on(self, one, body):
        secret = self.server.secrets[one]
        if self.command == "DELETE":
            return 200, {"success": bool(self.server.secrets.pop(one))}
        if self.command == "PATCH":
            self.change(secret, body)
        return 200, self.seen(secret)

    def listed(self):
        return [self.seen(secret) for secret in self.server.secrets.values()]

    def create(self, body):
        secret = {
            "id": str(uuid.uuid4()),
            "team_id": TEAM,
            "user_id": None if body.get("shared") else USER,
            "name": body["name"],
            "service_slug": body.get("service_slug"),
            "values": body["values"],
            "created_by": USER,
            "created_at": now(),
        }
        secret["updated_at"] = secret["created_at"]
        return self.server.secrets.setdefault(secret["id"], secret)

    @staticmethod
    def change(secret, body):
        secret.update({name: body[name] for name in ("name", "service_slug", "values") if name in body})
        if "shared" in body:
            secret["user_id"] = None if body["shared"] else USER
        renamed, removed = body.get("rename_keys", {}), body.get("remove_keys", [])
        kept = {renamed.get(key, key): value for key, value in secret["values"].items() if key not in removed}
        secret.update(values=kept | body.get("add_values", {}), updated_at=now())

    def seen(self, secret):
        seen = {name: field for name, field in secret.items() if name != "values"}
        return seen | {"env_var_keys": list(secret["values"])}


def sensible(body):
    edits = body.keys() & {"rename_keys", "remove_keys", "add_values"}
    return not ("values" in body and edits) and all(re.fullmatch("[A-Z_]+", key) for key in body.get("values", {}))


class DropsAField(Stub):
    def seen(self, secret):
        return {name: field for name, field in super().seen(secret).items() if name != "created_by"}


class AddsAField(Stub):
    def seen(self, secret):
        return super().seen(secret) | {"description": None}


class ReturnsValues(Stub):
    def seen(self, secret):
        return super().seen(secret) | {"env_var_keys": list(secret["values"].values())}


class EchoesAValueInAnError(Stub):
    def decide(self, body):
        status, content = super().decide(body)
        return status, content | {"message": str(body)} if status == 400 else content


class HasAnotherDate(Stub):
    def seen(self, secret):
        return super().seen(secret) | {"updated_at": secret["updated_at"].replace("T", " ")}


class HasAnotherStatus(Stub):
    def decide(self, body):
        status, content = super().decide(body)
        return 200 if status == 201 else status, content


class RenamesToTheEnd(Stub):
    @staticmethod
    def change(secret, body):
        old = dict(secret["values"])
        Stub.change(secret, body)
        secret["values"] = dict(sorted(secret["values"].items(), key=lambda item: item[0] not in old))


class AsksNobodyForAKey(Stub):
    def decide(self, body):
        del self.headers["authorization"]
        self.headers["authorization"] = f"Bearer {KEY}"
        return super().decide(body)


class OffersMore(Stub):
    offers_more = (("get", "/v2/agents/{agent}/revisions/{build}/credentials"),)


def client_test(stub):
    """Runs the client test with a server; the names of the tests that failed, and how many passed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), stub)
    server.secrets = {}
    server.description = {"paths": {}}
    for method, path in OFFERED + stub.offers_more:
        server.description["paths"].setdefault(path, {})[method] = {"operationId": "any"}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    where = {"CONTRACT_URL": f"http://127.0.0.1:{server.server_port}", "CONTRACT_KEY": KEY, "CONTRACT_TEAM": TEAM}
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=no", "-p", "no:cacheprovider", "client_test.py"]
    here = Path(__file__).parent
    ended = subprocess.run(
        command, cwd=here, env=os.environ | where, capture_output=True, text=True, timeout=120, check=False
    )
    server.shutdown()
    server.server_close()
    failed = set(re.findall(r"^FAILED \S+?::(\w+)", ended.stdout, re.MULTILINE))
    passed = re.findall(r"^PASSED \S+?::(\w+)", ended.stdout, re.MULTILINE)
    # 1: some test failed; anything else that isn't 0 is no verdict.
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    assert (ended.returncode == 1) == bool(failed)
    return failed, len(passed)


#: The test that must find each fault.
FOUND_BY = {
    DropsAField: "test_a_secret_is_created_seen_and_deleted",
    AddsAField: "test_a_secret_is_created_seen_and_deleted",
    ReturnsValues: "test_a_secret_is_created_seen_and_deleted",
    EchoesAValueInAnError: "test_what_makes_no_sense_is_an_error_without_the_value",
    HasAnotherDate: "test_each_way_to_change_a_secret",
    HasAnotherStatus: "test_the_published_example_works_as_printed",
    RenamesToTheEnd: "test_each_way_to_change_a_secret",
    AsksNobodyForAKey: "test_without_a_valid_key_nothing_is_told",
    OffersMore: "test_the_server_offers_all_but_those_that_are_said_here",
}


@pytest.fixture(scope="module")
def outcomes():
    """What the client test said of each server."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return dict(zip([Stub, *FOUND_BY], pool.map(client_test, [Stub, *FOUND_BY]), strict=True))


def test_a_server_without_a_fault_passes(outcomes):
    failed, passed = outcomes[Stub]
    assert not failed
    assert passed >= 30


@pytest.mark.parametrize("stub", FOUND_BY)
def test_a_fault_is_found(stub, outcomes):
    failed, passed = outcomes[stub]
    assert FOUND_BY[stub] in failed
    assert passed


def test_an_operation_that_appears_fails_nothing_else(outcomes):
    failed, _ = outcomes[OffersMore]
    assert failed == {FOUND_BY[OffersMore]}
