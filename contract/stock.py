"""What a team has, made by the API: something for every page to show."""

from dataclasses import dataclass


@dataclass
class Stock:
    """The ids of what was made, one of each kind."""

    secret: str
    agent: str
    revision: str
    run: str
    #: What the run receives its values by.
    run_token: str
    #: What the run asks for, and the token of its link.
    request: str
    fill: str


class Shop:
    """Makes things in a team, as whoever has the key."""

    def __init__(self, instance, team=None, key=None):
        self._instance, self.team, self.key = instance, team or instance.team, key or instance.key

    def ask(self, method, path, body=None, key=None):
        """What the API answers when it does it."""
        status, answer = self._instance.call(method, path, body, key or self.key)
        assert status in (200, 201), f"{method} {path}: {status} {answer}"
        return answer

    def refused(self, method, path, key):
        """Has somebody try what they may not."""
        status, answer = self._instance.call(method, path, None, key)
        assert status == 403, f"{method} {path}: {status} {answer}"

    def _new(self, what, **body):
        return self.ask("POST", f"/v2/teams/{self.team}/{what}", body)

    def secret(self, name, shared=True, values=None, **more):
        return self._new("credentials", name=name, shared=shared, values=values or {"API_KEY": "a value"}, **more)["id"]

    def agent(self, name):
        return self._new("agents", name=name)["agent"]["id"]

    def revision(self, agent, name):
        return self.ask("POST", f"/v2/agents/{agent}/revisions", {"name": name})["build"]["id"]

    def attach(self, agent, revision, secret):
        path = f"/v2/agents/{agent}/revisions/{revision}/credentials"
        self.ask("POST", path, {"credentialId": secret})

    def run(self, agent, **more):
        """A run's id, and its token."""
        answer = self._new("runs", agent_id=agent, **more)
        return answer["run"]["id"], answer["token"]

    def asked(self, name, key=None, **more):
        """What is asked for: a request's id, and its link's token."""
        wish = {"name": name, "env_var_keys": ["API_KEY"], **more}
        answer = self.ask("POST", f"/v2/teams/{self.team}/fill-requests", wish, key)
        return answer["id"], answer["url"].rsplit("/", 1)[1]

    def received(self, token):
        """Has a run receive its values."""
        return self.ask("GET", "/v2/run/environment", key=token)

    def member(self, name, role="member", email=None):
        """A person's id, or a service user's, who has no address."""
        who = {"email": email} if email else {"service": True}
        return self._new("members", name=name, role=role, **who)["member"]["id"]

    def api_key(self, name, **more):
        """A key's id, and the key."""
        answer = self._new("api-keys", name=name, **more)
        return answer["id"], answer["api_key"]

    def other_team(self, name):
        """Another team of whoever has the key."""
        made = self.ask("POST", "/v2/teams", {"name": name})
        key = self.ask("POST", "/v2/key-links/claim", key=made["key_link"]["link"])["api_key"]
        return Shop(self._instance, made["team"]["id"], key)


def stocked(shop):
    """One thing of each kind: a secret that a run of an agent received."""
    secret, agent = shop.secret("Payments", service_slug="stripe"), shop.agent("Invoices")
    revision = shop.revision(agent, "first")
    shop.attach(agent, revision, secret)
    run, token = shop.run(agent, note="nightly")
    shop.received(token)
    request, fill = shop.asked("Mail", token, service_slug="sendgrid", note="to send the invoices")
    return Stock(secret, agent, revision, run, token, request, fill)
