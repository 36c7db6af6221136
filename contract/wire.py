"""A browser's part spoken by hand, so that one header or field at a time can be another."""

import http.client
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

from instance import PATIENCE_SECONDS

PASSWORD = "correct horse battery staple"
#: The field that shows that a form is of our own page.
TOKEN = "form"
#: What a browser says when one of our own pages sends a form.
OURS = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: list
    text: str

    def all(self, name):
        return [value for found, value in self.headers if found.lower() == name]

    @property
    def leads(self):
        """Where to."""
        return next(iter(self.all("location")), None)

    @property
    def forms(self):
        reader = Forms()
        reader.feed(self.text)
        return reader.forms

    def form(self, action):
        return next(form for form in self.forms if re.fullmatch(action, form.action))


@dataclass
class Form:
    """A form of a page, as it would be sent if nothing were filled in."""

    method: str
    action: str
    fields: list
    #: What it is about, which nobody fills in.
    about: dict = field(default_factory=dict)

    def filled(self, **values):
        """Its fields, with these in place of what stands there."""
        kept = [(name, value) for name, value in self.fields if name not in values]
        return [*kept, *((name, value) for name, value in values.items() if value is not None)]

    @property
    def act(self):
        """What it does, without to what: the ids in its path left out."""
        return re.sub(r"/[0-9a-f]{8}-[0-9a-f-]{27}", "/{}", re.sub(r"/sr[a-z]_\w+", "/{}", self.action))


class Forms(HTMLParser):
    """Reads the forms off a page."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.forms, self._form, self._select = [], None, None

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self._form = Form(attrs.get("method", "get"), attrs["action"], [])
            self.forms.append(self._form)
        elif self._form is None:
            return
        elif tag == "select":
            self._select = attrs["name"]
        elif tag == "option" and self._select and ("selected" in attrs or not self._has(self._select)):
            self._form.fields = [*self._form.filled(**{self._select: None}), (self._select, attrs["value"])]
        elif (
            tag in ("input", "textarea")
            and "name" in attrs
            and (attrs.get("type") not in ("checkbox", "radio") or "checked" in attrs)
        ):
            self._form.fields.append((attrs["name"], attrs.get("value", "")))
            if attrs.get("type") == "hidden" and attrs["name"] != TOKEN:
                self._form.about[attrs["name"]] = attrs["value"]

    def handle_endtag(self, tag):
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = None

    def _has(self, name):
        return any(found == name for found, _ in self._form.fields)


class Visitor:
    """Somebody with cookies, at an address of the loopback."""

    def __init__(self, url, address="127.0.0.1"):
        self.url, self.address, self.cookies = url, address, {}

    def get(self, path, **headers):
        return self.ask("GET", path, None, headers)

    def post(self, path, fields, headers=OURS):
        body = urlencode(fields) if isinstance(fields, list | dict) else fields
        return self.ask("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded", **headers})

    def send(self, sent, headers=OURS, **values):
        """Sends a form, with these filled in."""
        return self.post(sent.action, sent.filled(**values), headers)

    def ask(self, method, path, body, headers):
        split = urlsplit(self.url)
        connection = http.client.HTTPConnection(
            split.hostname, split.port, timeout=PATIENCE_SECONDS, source_address=(self.address, 0)
        )
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {**({"Cookie": cookie} if cookie else {}), **headers}
        connection.request(
            method, path.removeprefix(self.url), body, {n.replace("_", "-"): v for n, v in headers.items()}
        )
        answer = connection.getresponse()
        answer = Answer(answer.status, answer.getheaders(), answer.read().decode(errors="replace"))
        connection.close()
        self._keep(answer.all("set-cookie"))
        return answer

    def _keep(self, lines):
        for line in lines:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value

    def set_up(self, link, password=PASSWORD, headers=OURS, **more):
        """Comes in by a link."""
        return self.send(self.get(link).forms[0], headers, password=password, **more)

    def sign_in(self, email, password=PASSWORD, code="", **headers):
        form = self.get("/sign-in").forms[0]
        return self.send(form, {**OURS, **headers}, email=email, password=password, code=code)

    @property
    def is_in(self):
        return self.get("/account").status == 200


def member(instance, email="owner@localhost", **more):
    """Somebody who is signed in, without a browser."""
    visitor = Visitor(instance.url)
    answer = visitor.set_up(instance.setup_link(email), **more)
    assert answer.status in (200, 303), answer.text
    return visitor
