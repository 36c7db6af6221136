"""What the generated requests are told of the instance that they go to: ids
that exist, tokens that work. And which refusals no schema can foretell, so
that they aren't findings.

Loaded by schemathesis, in a process of its own for each role. `FUZZ_WORLD`
names the file in which `fuzz` says where and as whom; how many requests were
made here, beside the generated ones, goes into the file `FUZZ_EXTRA`."""

import atexit
import json
import os
import random
import re
from dataclasses import dataclass
from pathlib import Path

import schemathesis
from schemathesis.core.parameters import ParameterLocation

from instance import call

#: Begins every value that is sent, so that it is known when it comes back.
CANARY = "canary-"
#: How often an id in a valid request is one that exists.
OFTEN = 0.8

#: From which pool a parameter of a path comes.
IN_PATH = {
    "teamId": "teams",
    "id": "secrets",
    "userId": "members",
    "keyId": "keys",
    "linkId": "links",
    "requestId": "requests",
}
#: From which pool a field of a body comes.
IN_BODY = {
    ("attachRevisionSecret", "credentialId"): "secrets",
    ("attachRevisionSecretV1", "credentialId"): "secrets",
    ("compareSecrets", "a"): "secrets",
    ("compareSecrets", "b"): "secrets",
    ("createKeyLink", "user_id"): "members",
    ("createApiKey", "service_user_id"): "members",
    ("addMember", "user_id"): "gone members",
}
#: After whose success something is gone: in which parameter, and from which pool.
ENDING = {
    "deleteSecret": ("id", "secrets"),
    "deleteSecretV1": ("id", "secrets"),
    "removeMember": ("userId", "members"),
    "revokeApiKey": ("keyId", "keys"),
    "cancelKeyLink": ("linkId", "links"),
}
#: Whose caller is a run, proven by its token.
BY_RUN = {"getRunEnvironment", "extendRun", "endRun"}
#: The only answer that has values: what a run receives.
RECEIVES = ("getRunEnvironment", 200)
#: What the document allows and is refused as malformed all the same: where, with
#: which message, and why the document doesn't say it.
BEYOND_SCHEMAS = [
    # It depends on what is stored.
    (r"updateSecret(V1)?", r"^`(rename_keys|remove_keys)`"),
    (r"rollbackSecret", r"^`version`: this secret has no such version"),
    (r"setSecretPolicy", r"^`values` are only taken where a secret is for the broker only"),
    # Fields that exclude each other. A schema of such alternatives would cost
    # every generated client a type for each.
    (r"updateSecret(V1)?", r"^`values` replaces everything"),
    (r"panic", r"^send exactly one of "),
    (r"setSecretPolicy", r"^`rules`, element \d+, `placement`: must have exactly one of "),
    (r"setSecretPolicy", r"^`rules`, element \d+: `host` has a single label"),
    # Names that are ruled out by name, and lengths that only count together.
    (
        r"setSecretPolicy",
        r"^`rules`, element \d+, (`placement`, `(header|scheme)`|`host`|`methods`|`path_prefix`): must ",
    ),
    (r"setSecretPolicy", r"^`rules`: must be rules of at most 16 KiB"),
    (r"addMember", r"^(say who: |a service user has |`user_id` names somebody |`name` is required with `email`)"),
    # JSON Schema has no format for a network.
    (r"createApiKey|createKeyLink", r"^`cidrs`: "),
    # JSON Schema has formats for times, and none for those to come.
    (r"createApiKey|createKeyLink", r"^`expires_at` must lie in the future"),
    # Lists of entity tags have a grammar that the generator doesn't follow, though the pattern says it.
    (r".*", r"^`If-Match` must be "),
    # A string with NUL is refused even in a field that nobody knows.
    (r".*", r"^the body has a string with NUL in it$"),
    # JSON Schema takes 1.0 for an integer; readers of JSON in typed languages don't.
    (r"rollbackSecret|createKeyLink", r"^`(version|valid_seconds)`: must be (u32|a whole number)"),
    (r"startRun|extendRun", r"^`ttl_seconds`: must be a whole number"),
    (r"createFillRequest", r"^`expires_in`: must be a whole number"),
    (r"setSecretPolicy", r"^`rules`, element \d+, `port`: must be a whole number"),
]


#: The media type of JSON Lines.
LINES = "application/jsonl"
#: On any answer, and so described with none.
ON_ANY_ANSWER = {"cache-control", "connection", "content-length", "content-type", "date", "x-request-id"}
#: Described, but only sometimes there: those about the rate only when there is a limit, and a key that it counts for.
SOMETIMES = {"idempotency-replayed", "link", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}


@dataclass
class Agent:
    """An agent, and what there is of it: ids."""

    id: str
    #: A revision, live as long as no other is promoted, and that other.
    build: str
    other_build: str
    #: To the first: by whether it is the team's or the caller's own, a secret.
    attached: dict
    #: A run of the first that has received its environment.
    run: str = ""


class World:
    """What exists on the server, as far as the requests should know."""

    def __init__(self, where):
        self._url, self._owner, self.key = where["url"], where["owner_key"], where["key"]
        self._team, self._user, self._service = where["team"], where["user"], where["service"]
        #: Whoever is acting, and the owner by whose key things are made here.
        self._spared = [where["user"], where["owner"], where["key_id"], where["owner_key_id"]]
        self.random = random.Random(where["seed"])
        self._marks_names = where["marks_names"]
        #: By whose key runs are started: the caller's, if they may.
        self._starter = self._owner if where["role"] == "member" else self.key
        #: Of a run that goes on, as far as is known, and of one that is over.
        self._run_token = self._spent_token = None
        self.requests = 0
        other_team = self._call("POST", "/v2/teams", {"name": "another"})["team"]["id"]
        self._pools = {"teams": [self._team] * 9 + [other_team], "gone secrets": [], "gone members": []}
        for pool in ("secrets", "members", "keys", "links"):
            self._pools[pool] = [self._make(pool) for _ in range(3)]
        # One stays to be looked at when it was withdrawn, so none takes its place.
        self._pools["requests"] = [self._ask() for _ in range(3)]
        for shared in (True, False):
            body = {"name": "the owner's", "values": {"ONE": "1"}, "shared": shared}
            self._pools["secrets"].append(self._call("POST", "/v1/credentials", body)["id"])
        self._agents = [self._make_agent() for _ in range(3)]

    def _call(self, method, path, body=None, key=None):
        self.requests += 1
        status, content = call(self._url, method, path, key or self._owner, body)
        if not 200 <= status < 300:
            raise RuntimeError(f"{method} {path}: {status} {content}")
        return content

    def _make(self, pool):
        team, name = f"/v2/teams/{self._team}", f"made {self.requests}"
        if pool == "secrets":
            body = {"name": name, "values": {"ONE": f"{CANARY}1", "TWO": f"{CANARY}2"}}
            secret = self._call("POST", "/v1/credentials", body, self.key)["id"]
            self._call("PATCH", f"/v1/credentials/{secret}", {"add_values": {"TWO": f"{CANARY}3"}}, self.key)
            return secret
        if pool == "members":
            kind = self.random.choice([{"service": True}, {"email": f"{self.requests}@example.com"}])
            return self._call("POST", f"{team}/members", {"name": name, "role": "member"} | kind)["member"]["id"]
        if pool == "keys":
            # The caller's own: others' are not for every role to revoke.
            if self._service:
                return self._call("POST", f"{team}/api-keys", {"name": name, "service_user_id": self._user})["id"]
            return self._call("POST", f"{team}/api-keys", {"name": name}, self.key)["id"]
        return self._link()["id"]

    def _link(self):
        """A new link to a key for somebody new."""
        person = {"name": "a person", "email": f"{self.requests}@example.com", "role": "member"}
        user = self._call("POST", f"/v2/teams/{self._team}/members", person)["member"]["id"]
        return self._call("POST", f"/v2/teams/{self._team}/key-links", {"user_id": user, "name": "a key"})

    def _ask(self):
        """A request of the caller's to fill in a secret."""
        body = {"name": f"made {self.requests}", "env_var_keys": ["ONE"]}
        return self._call("POST", f"/v2/teams/{self._team}/fill-requests", body, self.key)["id"]

    def link_token(self):
        """A token by which a key can be claimed, once."""
        return self._link()["link"]

    def _make_agent(self):
        agent = self._call("POST", f"/v2/teams/{self._team}/agents", {"name": f"made {self.requests}"})["agent"]["id"]
        builds = [
            self._call("POST", f"/v2/agents/{agent}/revisions", {"name": name})["build"]["id"]
            for name in ("first", "second")
        ]
        made = Agent(agent, *builds, attached={})
        for shared in (True, False):
            self._attach(made, shared)
        made.run = self._start(made)
        return made

    def _attach(self, agent, shared):
        """Attaches a new secret."""
        key = self._owner if shared else self.key
        body = {"name": f"made {self.requests}", "values": {"ONE": f"{CANARY}1"}, "shared": shared}
        secret = self._call("POST", "/v1/credentials", body, key)["id"]
        place = f"/v1/agents/{agent.id}/revisions/{agent.build}/credentials"
        self._call("POST", place, {"credentialId": secret}, key)
        agent.attached[shared] = secret

    def _start(self, agent):
        """A run that has received its environment."""
        started = self._run(agent, self._starter)
        self._call("GET", "/v2/run/environment", key=started["token"])
        return started["run"]["id"]

    def _run(self, agent, key):
        body = {"agent_id": agent.id, "build_id": agent.build}
        return self._call("POST", f"/v2/teams/{self._team}/runs", body, key)

    def run_token(self):
        """A token of a run: mostly of one that goes on."""
        if self._spent_token and self.random.random() > OFTEN:
            return self._spent_token
        if not self._run_token:
            self._run_token = self._run(self.random.choice(self._agents), self._owner)["token"]
        return self._run_token

    def spend(self, token):
        """Notes that a run is over."""
        if token == self._run_token:
            self._run_token, self._spent_token = None, token

    def one(self, pool):
        """One of a pool, if there is one."""
        return self.random.choice(self._pools[pool]) if self._pools[pool] else None

    def enter(self, operation, case):
        """Puts ids that exist into a request, where it wants valid ones."""
        agent = self.random.choice(self._agents)
        if _is_meant_valid(case, ParameterLocation.PATH):
            self._enter_path(operation, case.path_parameters, agent)
        if _is_meant_valid(case, ParameterLocation.QUERY) and operation == "listRuns":
            self._put(case.query, "agent_id", agent.id)
        if isinstance(case.body, dict):
            if _is_meant_valid(case, ParameterLocation.BODY):
                self._enter_body(operation, case.body, agent)
            self._mark(case.body)
        self._spare(case.path_parameters, {"userId": "members", "keyId": "keys"})
        if operation == "panic" and isinstance(case.body, dict):
            self._spare(case.body, {"user_id": "members", "key_id": "keys"})

    def _enter_path(self, operation, parameters, agent):
        for name, pool in IN_PATH.items():
            gone = operation == "undeleteSecret" and self.random.random() < OFTEN
            self._put(parameters, name, self.one("gone secrets" if gone else pool))
        attached = self.random.choice(list(agent.attached.values()))
        build = agent.other_build if operation == "promoteRevision" and self.random.random() < 0.5 else agent.build
        ids = {"agentId": agent.id, "buildId": build, "credentialId": attached, "runId": agent.run}
        if operation == "listSecretRuns":
            ids["id"] = attached
        for name, one in ids.items():
            self._put(parameters, name, one)

    def _enter_body(self, operation, body, agent):
        for (of, name), pool in IN_BODY.items():
            if of == operation:
                self._put(body, name, self.one(pool))
        if operation == "rollbackSecret" and "version" in body:
            body["version"] = self.random.randint(1, 3)
        if operation == "startRun":
            self._put(body, "agent_id", agent.id)
            self._put(body, "build_id", agent.build)
        if operation == "panic" and self.random.random() < OFTEN:
            self._suspect(body, agent)

    def _suspect(self, body, agent):
        """Names one suspect, and no other."""
        suspects = {
            "run_id": agent.run,
            "agent_id": agent.id,
            "key_id": self.one("keys"),
            "user_id": self.one("members"),
        }
        for name in suspects:
            body.pop(name, None)
        name = self.random.choice(list(suspects))
        body[name] = suspects[name]

    def _mark(self, body):
        """Lets each value begin with the canary."""
        for values in (body.get("values"), body.get("add_values")):
            if isinstance(values, dict):
                for name in values:
                    _mark(values, name)
        if self._marks_names:
            _mark(body, "name")

    def _put(self, container, name, one):
        if name in container and one and self.random.random() < OFTEN:
            container[name] = one

    def _spare(self, fields, pools):
        """Whoever acts doesn't remove or demote themselves, nor revoke the
        key that they act with: the rest of the run would see nothing but 401.
        Other keys of theirs they do revoke."""
        for name, pool in pools.items():
            if fields.get(name) in self._spared:
                fields[name] = self.one(pool)

    def leave(self, operation, case, content):
        """Notes what a request that succeeded has ended, and makes another."""
        if operation == "deleteTeam":
            # It was deleted, and is brought back: everything after it would be 403.
            self._call("POST", f"/v2/teams/{self._team}/undelete")
        if operation in ENDING:
            name, pool = ENDING[operation]
            ended = case.path_parameters[name]
            self._end(pool, ended)
            if pool in ("secrets", "members"):
                self._pools[f"gone {pool}"].append(ended)
        if operation == "panic":
            for pool, name in (("keys", "api_keys"), ("links", "key_links")):
                for ended in content["revoked"][name]:
                    self._end(pool, ended)
        for agent in list(self._agents):
            self._leave_agent(agent, operation, case.path_parameters, content)

    def _end(self, pool, ended):
        if ended in self._pools[pool]:
            self._pools[pool].remove(ended)
            self._pools[pool].append(self._make(pool))

    def _leave_agent(self, agent, operation, parameters, content):
        """The same for what an agent has."""
        operation = operation.removesuffix("V1")
        if (operation == "deleteAgent" and parameters["agentId"] == agent.id) or (
            operation == "deleteSecret" and parameters["id"] in agent.attached.values()
        ):
            self._agents[self._agents.index(agent)] = self._make_agent()
        elif operation == "detachRevisionSecret" and parameters["buildId"] == agent.build:
            for shared in [shared for shared, one in agent.attached.items() if one == parameters["credentialId"]]:
                self._attach(agent, shared)
        elif (operation == "stopRun" and parameters["runId"] == agent.run) or (
            operation == "panic" and agent.run in content["revoked"]["runs"]
        ):
            agent.run = self._start(agent)


def _is_meant_valid(case, location):
    return case.meta is None or not case.meta.is_negative_at(location)


def _mark(fields, name):
    """Lets a text begin with the canary, unless that would make it valid or too long."""
    if isinstance(fields.get(name), str) and 0 < len(fields[name]) < 1000:
        fields[name] = CANARY + fields[name]


def _operation(case):
    return case.operation.definition.raw["operationId"]


world = World(json.loads(Path(os.environ["FUZZ_WORLD"]).read_text()))
atexit.register(lambda: Path(os.environ["FUZZ_EXTRA"]).write_text(str(world.requests)))


@schemathesis.auth(refresh_interval=None)
class Bearer:
    """The caller's key; for claiming a link mostly a link, for what a run does mostly its token."""

    def get(self, _case, _context):
        return world.key

    def set(self, case, key, _context):
        operation = _operation(case)
        if operation == "claimKeyLink" and world.random.random() < OFTEN:
            key = world.link_token()
        if operation in BY_RUN and world.random.random() < OFTEN:
            key = world.run_token()
        case.headers["Authorization"] = f"Bearer {key}"


@schemathesis.hook
def before_call(_context, case, _kwargs):
    operation = _operation(case)
    world.enter(operation, case)
    if operation == "getRunEnvironment" and world.random.random() < 0.5:
        case.headers["Accept"] = "text/plain"


@schemathesis.hook
def after_call(_context, case, response):
    operation = _operation(case)
    # Neither a rehearsal nor an answer that was kept has an effect.
    rehearsed = str((case.query or {}).get("dry_run")).lower() == "true"
    done = 200 <= response.status_code < 300 and not rehearsed and "idempotency-replayed" not in response.headers
    if operation in BY_RUN and (response.status_code == 401 or (done and operation == "endRun")):
        world.spend(str(case.headers.get("Authorization")).removeprefix("Bearer "))
    elif done and operation not in BY_RUN:
        # Some answers are texts, and end nothing.
        is_json = response.headers["content-type"] == ["application/json"]
        world.leave(operation, case, response.json() if is_json else None)


@schemathesis.hook
def filter_failure(_context, failure, case, response):
    if type(failure).__name__ == "JsonSchemaError" and response.headers["content-type"][0].startswith(LINES):
        # A document to a line; a single one is taken for the whole.
        return False
    if type(failure).__name__ != "RejectedPositiveData" or response.status_code != 400:
        return True
    message, operation = response.json()["message"], _operation(case)
    return not any(re.fullmatch(where, operation) and re.search(what, message) for where, what in BEYOND_SCHEMAS)


@schemathesis.check
def no_value_comes_back(_context, response, case):
    """Values go in and are never returned, nor quoted in errors or headers; only a run receives them."""
    if (_operation(case), response.status_code) != RECEIVES:
        assert CANARY not in response.text, "a value came back in the body"
    assert CANARY not in str(response.headers), "a value came back in a header"


@schemathesis.check
def headers_are_as_described(_context, response, case):
    """An answer has the headers that its description names, and no others."""
    described = case.operation.definition.raw["responses"].get(str(response.status_code))
    if described is None:
        return  # A finding of another check.
    described = {name.lower() for name in described.get("headers", {})} - ON_ANY_ANSWER
    present = {name.lower() for name in response.headers} - ON_ANY_ANSWER
    assert present <= described, f"not described with {response.status_code}: {', '.join(sorted(present - described))}"
    missing = described - present - SOMETIMES
    assert not missing, f"described with {response.status_code}, but not there: {', '.join(sorted(missing))}"
