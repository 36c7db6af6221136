"""What every kind of answer tells the browser, word for word."""

import re

import pytest

import wire
from instance import Instance

#: On whatever a page is, or belongs to one.
PAGE = {
    "content-security-policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; "
    "img-src 'self'; script-src 'self'; style-src 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
#: What differs from answer to answer, or tells browsers nothing.
OTHERS = {"content-type", "content-length", "date", "location", "set-cookie", "x-request-id", "connection", "allow"}
PUBLIC = "https://secrets.example.com"


def told(answer):
    """What an answer tells the browser."""
    return {name.lower(): value for name, value in answer.headers if name.lower() not in OTHERS}


def answers(instance):
    """An answer of each kind, and its status."""
    owner = wire.member(instance)
    yield 200, owner.get("/secrets")
    yield 200, owner.get("/account")
    yield 200, owner.get(instance.setup_link())
    yield 200, wire.Visitor(instance.url).get("/sign-in")
    yield 303, wire.Visitor(instance.url).get("/secrets")
    yield 303, owner.get("/")
    yield 404, owner.get("/secrets/nothing")
    yield 404, owner.get("/nothing", Accept="text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
    yield 404, wire.Visitor(instance.url).get("/v2/nothing", Accept="text/html")
    yield 404, owner.get("/runs?agent=nothing")
    yield 410, owner.get("/setup/nothing")
    yield 403, owner.post("/secrets", {})
    yield 415, owner.ask("POST", "/secrets", "text", {**wire.OURS, "Content-Type": "text/plain"})
    yield 422, owner.send(owner.get("/members").form("/members"), name="")
    yield 200, owner.send(owner.get("/keys").form("/keys"), name="key")
    for asset in ("style.css", "desk.js", "mark.svg"):
        yield 200, owner.get(f"/assets/{asset}")
    yield 200, owner.get("/docs")
    yield 404, owner.get("/docs/nothing")
    yield 303, owner.send(owner.get("/account").form("/sign-out"))


def test_every_kind_of_answer_is_as_strict(instance):
    for status, answer in answers(instance):
        assert answer.status == status
        assert told(answer) == PAGE, (status, answer.text[:200])


def test_what_is_no_page_is_not_kept_either(instance):
    nobody = wire.Visitor(instance.url)
    too_large = nobody.post("/secrets", "form=" + "x" * (4 << 20))
    assert too_large.status == 413
    others = (nobody.get("/nothing"), nobody.get("/openapi.json"), nobody.ask("PUT", "/secrets", None, {}))
    for answer in (too_large, *others):
        assert told(answer) == {"cache-control": "no-store"}
        assert answer.all("content-type") == ["application/json"]


def test_people_are_shown_a_page_for_what_is_not_there_and_programs_told(instance):
    nobody = wire.Visitor(instance.url)
    page = nobody.get("/nothing", Accept="text/html")
    assert page.all("content-type") == ["text/html; charset=utf-8"]
    assert "There is no such page" in page.text
    for accept in ("*/*", "application/json", ""):
        answer = nobody.get("/nothing", Accept=accept)
        assert (answer.status, answer.all("content-type")) == (404, ["application/json"]), accept
        assert '"not_found"' in answer.text
    # An operation's own answers stay what they are.
    refused = nobody.get(f"/v2/teams/{instance.team}", Accept="text/html")
    assert (refused.status, refused.all("content-type")) == (401, ["application/json"])
    method = nobody.ask("PUT", "/secrets", None, {"Accept": "text/html"})
    assert (method.status, method.all("content-type")) == (405, ["application/json"])


def test_as_large_a_form_as_is_promised_is_taken(instance):
    """Just below what the front lets in, it is looked at; a piece at a time, a larger one is told of in a page."""
    owner = wire.member(instance)
    form = owner.get("/secrets/new").form("/secrets")
    largest = {"name": "Large", "pasted": "#" + "x" * (2_000_000)}
    assert owner.send(form, **largest).status in (200, 303, 422)
    body = wire.urlencode(form.filled(name="Large", pasted="x" * (2 << 20))).encode()
    pieces = (body[at : at + 65_536] for at in range(0, len(body), 65_536))
    answer = owner.ask("POST", "/secrets", pieces, {**wire.OURS, "Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 413
    assert "more than a form takes: 2 MiB" in answer.text
    assert told(answer) == PAGE


def cookies(answer):
    """The lines that leave or take cookies, without what is in them."""
    return [re.sub(r"^([^=]+)=[^;]+", r"\1=…", line) for line in answer.all("set-cookie")]


#: What is left in the browser, without TLS.
FORM = "strongroom-form=…; Path=/; HttpOnly; SameSite=Lax"
BEGUN = [
    "strongroom=…; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax",
    "strongroom-browser=…; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax",
    "strongroom-form=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
]
OVER = ["strongroom=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"]


def secure(lines):
    """The same where browsers come by TLS: for this host alone."""
    return [f"__Host-{line}; Secure" for line in lines]


@pytest.mark.parametrize("options", [(), ("--public-url", PUBLIC)], ids=["plain", "TLS"])
def test_each_cookie_is_as_it_should_be(options):
    expected = secure if options else list
    with Instance(*options) as instance:
        visitor = wire.Visitor(instance.url)
        link = instance.setup_link()
        asked = visitor.get(link)
        assert cookies(asked) == expected([FORM])
        assert cookies(visitor.get(link)) == [], "it is there"
        assert cookies(visitor.send(asked.forms[0], password=wire.PASSWORD)) == expected(BEGUN)
        page = visitor.get("/secrets")
        assert (page.status, cookies(page)) == (200, [])
        assert cookies(visitor.send(page.form("/sign-out"))) == expected(OVER)
        asked = visitor.get("/sign-in")
        assert cookies(asked) == expected([FORM])
        wrong = visitor.send(asked.forms[0], email="owner@localhost", password="wrong")
        assert (wrong.status, cookies(wrong)) == (422, [])
        assert cookies(visitor.sign_in("owner@localhost")) == expected(BEGUN)


def test_behind_tls_only_its_own_origin_sends_forms():
    with Instance("--public-url", PUBLIC) as instance:
        visitor = wire.Visitor(instance.url)
        form = visitor.get("/sign-in").forms[0]
        for origin, status in [(instance.url, 403), ("http://secrets.example.com", 403), (PUBLIC, 422), ("null", 422)]:
            assert visitor.send(form, {**wire.OURS, "Origin": origin}, email="a@b", password="wrong").status == status


def test_a_cookie_without_its_prefix_is_none_behind_tls():
    """A neighbour on the network could have left it."""
    with Instance("--public-url", PUBLIC) as instance:
        owner = wire.member(instance)
        owner.cookies = {name.removeprefix("__Host-"): value for name, value in owner.cookies.items()}
        assert not owner.is_in
