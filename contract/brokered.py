"""A run that goes by the broker, and the plainest of clients of that."""

import http.client
from urllib.parse import urlsplit

from instance import PATIENCE_SECONDS

#: The token of the key that most services take: in the header `authorization`.
BEARER = {"header": "authorization", "scheme": "Bearer"}


def rule(url, **more):
    """A rule for the host of a URL of plain HTTP."""
    split = urlsplit(url)
    about = {"scheme": split.scheme, "host": split.hostname, "port": split.port or 80}
    return about | {"placement": BEARER, "allow_private": split.hostname == "localhost"} | more


class Run:
    """One that was started now."""

    def __init__(self, shop, agent, **more):
        body = {"agent_id": agent, "mode": "broker", **more}
        answer = shop.ask("POST", f"/v2/teams/{shop.team}/runs", body)
        self.id, self._token = answer["run"]["id"], answer["broker_token"]
        self._broker = urlsplit(answer["broker_url"])
        #: What stands in the place of values.
        self.environment = shop.received(answer["token"])["environment"]

    def asks(self, method, url, **headers):
        """Asks for something by plain HTTP; the status of the answer."""
        broker = http.client.HTTPConnection(self._broker.hostname, self._broker.port, timeout=PATIENCE_SECONDS)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        broker.request(method, url, headers={"Proxy-Authorization": f"Bearer {self._token}", **headers})
        answer = broker.getresponse()
        answer.read()
        broker.close()
        return answer.status
