"""Whatever anybody is called, and whatever is asked for: pages show it, letter by letter, and do nothing of it."""

import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

import brokered
import desk
import wire
from instance import Instance
from payloads import AT_ONCE, PAYLOADS, joined
from stock import Shop

#: All that a page shows, as it was given.
SHOWN = """() => [...document.querySelectorAll("title, header *, main *")].map(
    place => ["INPUT", "TEXTAREA"].includes(place.tagName) ? place.value : place.textContent)"""
#: As long as a name may be, and what is asked for.
LONG, ASKED = joined(128), joined(1_000)


def test_there_are_many_kinds_of_them():
    assert len(PAYLOADS) >= 200
    assert set(AT_ONCE) < set(PAYLOADS)


@pytest.fixture(scope="module")
def called():
    """An instance in which everything is called something hostile, and the ids of what has a page of its own."""
    with Instance() as instance:
        shop = Shop(instance)
        # A page shows so many revisions.
        agents = [shop.agent("Busy"), shop.agent("Busy, too")]
        for at, payload in enumerate(PAYLOADS):
            shop.revision(agents[at % 2], payload)
        for payload in PAYLOADS:
            named(shop, payload)
            shop.member(payload, email=address(payload))
        yield instance, shop, {text: named(shop, text) for text in LONG}, agents


def named(shop, text):
    """One of everything with this name; their ids."""
    secret = shop.secret(text, service_slug=text[:64])
    agent = shop.agent(text)
    shop.attach(agent, shop.revision(agent, text), secret)
    _, key = shop.api_key(text, scopes=["secrets:read", "runs:start"])
    run = shop.ask("POST", f"/v2/teams/{shop.team}/runs", {"agent_id": agent, "note": text}, key)
    shop.received(run["token"])
    return {"secrets": secret, "agents": agent, "runs": run["run"]["id"]}


def address(payload):
    """As much of it as an email address may have."""
    user = "".join(letter for letter in payload if letter.isprintable() and letter not in " @\u3000")
    return f"{user}x@{PAYLOADS.index(payload)}"


@pytest.fixture
def visitor(chromium, called):
    """The owner, at a browser."""
    with desk.owner(chromium, called[0]) as owner:
        yield owner


def shown(visitor, path):
    """What a page shows, which does nothing else."""
    assert visitor.open(path) == 200, path
    assert desk.complaints(visitor.page) == [], path
    assert visitor.page.title().endswith(" · Strongroom"), path
    return set(visitor.page.evaluate(SHOWN))


def all_pages(visitor, path, link):
    """What a list shows, on all of its pages."""
    found = shown(visitor, path)
    while visitor.page.get_by_role("link", name=link, exact=True).count():
        found |= shown(
            visitor, visitor.url + visitor.page.get_by_role("link", name=link, exact=True).get_attribute("href")
        )
    return found


def missing(found):
    """Those that aren't shown as they are, with whatever stands before and after them."""
    everything = "\n".join(found)
    return [payload for payload in PAYLOADS if payload not in everything]


def test_lists_show_them_all(visitor, called):
    *_, agents = called
    assert missing(set.union(*(shown(visitor, f"/agents/{agent}") for agent in agents))) == []
    for path, link in [
        ("/secrets", "More"), ("/agents", "More"), ("/keys", "More"), ("/members", "More"), ("/runs", "Older"),
        ("/audit?group=agents", "Older"), ("/audit?group=secrets", "Older"), ("/audit?group=keys", "Older"),
    ]:  # fmt: skip
        assert missing(all_pages(visitor, path, link)) == [], path


def test_what_is_asked_to_be_filled_in_is_shown(visitor, called):
    """Its name, service and note, and who asks: the agent, its revision, the team."""
    _, shop, made, _ = called
    for text, ids in made.items():
        shop.ask("PATCH", f"/v2/teams/{shop.team}", {"name": text})
        _, token = shop.run(ids["agents"])
        request, fill = shop.asked(text, token, service_slug=text[:64], note=text)
        asks = f"The agent {text} ({text}), in a run that owner started, asks the team {text} for this."
        assert {f"Fill in {text}", asks, text, text[:64]} <= shown(visitor, f"/fill/{fill}"), text
        assert {text, text[:64]} <= shown(visitor, "/requests"), text
        shop.ask("DELETE", f"/v2/teams/{shop.team}/fill-requests/{request}")


def test_what_is_asked_for_wrongly_is_shown(visitor):
    """A form that is refused has everything in it that was typed."""
    for text in LONG:
        visitor.open("/requests")
        form = visitor.opened("Ask for a secret")
        for label in ("Name", "Service", "Variables", "What for"):
            form.fill(label, text)
        # A field of one line makes a space of what ends one.
        one_line = visitor.page.locator("#name").input_value()
        assert form.send("Make a link") == 422
        assert desk.complaints(visitor.page) == []
        found = visitor.page.evaluate(SHOWN)
        assert found.count(one_line) >= 2, text
        assert visitor.problem


def test_people_and_settings_are_shown(chromium, called):
    """In the head of each page stands who is there, and where."""
    instance, shop, *_ = called
    for text in LONG:
        email = f"{LONG.index(text)}@named.example"
        shop.member(text, "administrator", email)
        shop.ask("PATCH", f"/v2/teams/{shop.team}", {"name": text})
        with desk.person(chromium, instance, email) as somebody:
            for path in ("/overview", "/settings", "/account"):
                assert f"{text} · {text}" in shown(somebody, path), text
            somebody.open("/settings")
            assert somebody.page.get_by_label("The team's name", exact=True).input_value() == text.replace("\n", "")


def test_what_is_searched_in_what_happened_is_shown(visitor):
    for text in ASKED:
        query = wire.urlencode({"search": text, "done": text, "before": text})
        assert text.replace("\n", "") in shown(visitor, f"/audit?{query}"), text
        for wrong in ("since", "group", "person"):
            assert visitor.open(f"/audit?{wire.urlencode({wrong: text})}") in (404, 422), text
            assert desk.complaints(visitor.page) == []


def test_what_is_taken_away_is_no_page(called):
    """Whatever stands in it, a browser keeps the file and shows nothing of it."""
    owner = wire.member(called[0])
    for kind in ("csv", "jsonl"):
        answer = owner.get(f"/audit/export?format={kind}")
        assert answer.status == 200
        assert answer.all("content-disposition")[0].startswith("attachment")
        assert answer.all("x-content-type-options") == ["nosniff"]
        assert "html" not in answer.all("content-type")[0]


@pytest.mark.parametrize("kind", ["secrets", "agents", "runs"])
def test_a_page_of_each_shows_it(visitor, called, kind):
    _, shop, made, _ = called
    for text, ids in made.items():
        # The team is called so, too.
        shop.ask("PATCH", f"/v2/teams/{shop.team}", {"name": text})
        found = shown(visitor, f"/{kind}/{ids[kind]}")
        assert {text, f"owner · {text}"} <= found, text


#: What may stand in a request's target as it is, beyond what every URL may have (RFC 3986 would have it encoded).
AS_IT_IS = "\"'!$&()*+,;=:@[]^`{|}~/%-._\\"


def test_what_a_run_asks_for_is_shown(visitor, called):
    """Paths as its process wrote them, and methods of all letters that there are for them."""
    _, shop, *_ = called
    agent = shop.agent("Hostile")
    shop.attach(agent, shop.revision(agent, "one"), shop.secret("Any"))
    run = brokered.Run(shop, agent)
    paths = [f"/{quote(payload.replace(chr(10), ''), safe=AS_IT_IS)[:400]}" for payload in PAYLOADS]
    with ThreadPoolExecutor(4) as several:
        asked = several.map(lambda path: run.asks("G!#$%&'*+-.^_`|~T", f"http://nowhere.example{path}"), paths)
        assert set(asked) <= {400, 403}
    time.sleep(0.5)
    told = {text.strip() for text in all_pages(visitor, f"/runs/{run.id}", "Older")}
    wanted = [f"G!#$%&'*+-.^_`|~T http://nowhere.example{path}" for path in paths]
    refused = [text for text in wanted if text not in told]
    # Those that the broker couldn't read at all aren't recorded.
    assert len(refused) < len(PAYLOADS) / 10, refused
    assert sum('"' in text for text in wanted if text in told) > 10


def test_where_a_secret_may_be_used_is_shown(visitor, called):
    """Names of parameters and fields, and places in JSON, are any text of a line."""
    _, shop, made, _ = called
    places = [text.replace("\n", " ") for text in LONG]
    places = ["".join(letter for letter in text if letter.isprintable() or letter == " ") for text in places]
    for text, ids in zip(places, made.values(), strict=True):
        pointer = "/" + text.replace("~", "~0")
        rules = [
            {"host": f"{kind}.example", "placement": {kind: place}}
            for kind, place in [("query", text[:128]), ("form", text[:128]), ("json", pointer[:128])]
        ]
        path = f"/secrets/{ids['secrets']}/policy"
        shop.ask("PUT", f"/v2/credentials/{ids['secrets']}/policy", {"rules": rules})
        assert {text[:128], pointer[:128]} <= shown(visitor, f"/secrets/{ids['secrets']}"), text
        assert {text[:128], pointer[:128]} <= shown(visitor, path), text
        assert visitor.send("See what it would allow") == 200
        assert desk.complaints(visitor.page) == []
        assert {text[:128].strip(), pointer[:128].strip()} <= set(visitor.page.evaluate(SHOWN)), text


def test_a_policy_that_is_refused_is_shown(visitor, called):
    """Whatever is typed stands in its field again."""
    _, _, made, _ = called
    for text, ids in made.items():
        visitor.open(f"/secrets/{ids['secrets']}/policy")
        visitor.send("One more rule")
        rule = visitor.within(visitor.page.locator("details.policy-rule").last)
        for label in ("Host", "Methods", "Paths under", "Called"):
            rule.fill(label, text)
        one_line = rule.page.locator("input[id^=host-]").last.input_value().strip()
        assert visitor.send("See what it would allow") == 422
        assert desk.complaints(visitor.page) == []
        assert visitor.page.evaluate(SHOWN).count(one_line) >= 2, text
        assert visitor.problem


def test_what_is_asked_for_is_shown(visitor):
    for text in ASKED:
        query = wire.urlencode({"search": text, "done": text, "whose": text, "after": text})
        one_line = text.replace("\n", "")
        assert one_line in shown(visitor, f"/secrets?{query}"), text
        told = visitor.page.get_by_role("status").all_text_contents()
        assert not any(one_line in line for line in told), "nothing that a link made up is told"


def test_what_strangers_ask_for_is_shown(chromium, called):
    with desk.person(chromium, called[0]) as stranger:
        for text in ASKED:
            query = wire.urlencode({"to": text, "email": text, "done": text})
            assert text in shown(stranger, f"/sign-in?{query}"), text
        for payload in AT_ONCE:
            stranger.open("/sign-in")
            # A browser would find that it is no address.
            stranger.page.locator("form").evaluate("form => form.noValidate = true")
            stranger.fill("Email address", payload)
            stranger.fill("Password", payload)
            assert stranger.send("Sign in") == 422
            assert stranger.page.get_by_label("Email address").input_value() == payload


def test_what_browsers_are_called_is_shown(visitor, called):
    plain = [payload for payload in PAYLOADS if payload.isascii() and payload.isprintable() and len(payload) <= 60]
    assert len(plain) > 180

    def sign_in(agent):
        return wire.Visitor(called[0].url).sign_in("owner@localhost", User_Agent=agent).leads

    agents = [text.strip() for text in joined(60, plain)]
    with ThreadPoolExecutor(4) as several:
        assert set(several.map(sign_in, agents)) == {"/overview"}
    found = shown(visitor, "/account")
    assert [agent for agent in agents if agent not in found] == []


def test_who_is_invited_is_shown(chromium, called):
    """Those who set up how they sign in see their own name and the team's."""
    instance, shop, *_ = called
    with desk.person(chromium, instance) as stranger:
        for payload in AT_ONCE:
            shop.ask("PATCH", f"/v2/teams/{shop.team}", {"name": payload})
            found = shown(stranger, instance.setup_link(address(payload)))
            assert f"You are {payload}, member of {payload}." in found


def test_a_page_that_took_them_for_markup_would_be_noticed(chromium, instance):
    for payload in AT_ONCE:
        with chromium.page() as page:
            with page.expect_event("dialog"):
                page.set_content(payload)
            assert "dialog: 1" in page.complaints, payload
    with chromium.page() as page:
        page.goto(f"{instance.url}/sign-in")
        for payload in AT_ONCE:
            page.complaints.clear()
            with page.expect_console_message(lambda said: "Content Security Policy" in said.text):
                page.evaluate(
                    "markup => document.body.append(document.createRange().createContextualFragment(markup))", payload
                )
            assert not any("dialog" in said for said in page.complaints), payload
