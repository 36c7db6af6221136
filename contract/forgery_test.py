"""Nothing is done that another site had a browser send, and no other site shows our pages as its own."""

import re
from contextlib import contextmanager
from html import escape

import pytest

import acts
import desk
import elsewhere
import wire
from instance import Instance
from stock import Shop, stocked

#: What is forged of a request by which our own page would have it done: headers that
#: browsers send, each alone.
SITES = [{"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "none", "", "same-origin, cross-site")]
ORIGINS = [
    "https://evil.example",
    "http://127.0.0.1:1",
    "{url}.evil.example",
    "{url}/",
    "https{tail}",
    "file://",
    "{url} {url}",
]
#: How somebody comes in; nobody is signed in there.
STRANGERS = ("/sign-in", "/setup/{}", "/invitation/{}", "/fill/{}/alone")


@contextmanager
def every_form():
    """Every form that there is, its owner, and what must stay as it is."""
    with Instance() as instance:
        shop = Shop(instance)
        stock = stocked(shop)
        shop.revision(stock.agent, "second")
        shop.secret("One to attach")
        shop.ask("PATCH", f"/v2/credentials/{stock.secret}", {"add_values": {"MORE": "1"}})
        ada = shop.member("Ada", email="ada@example.com")
        owner = wire.member(instance)
        [invite] = [
            form for form in owner.get("/members").forms if form.about == {"user": ada} and "invite" in form.act
        ]
        invitation = re.search(r"http[^<]*/invitation/\w+", owner.send(invite).text)[0]
        shop.other_team("Second")
        owner.send(owner.get("/settings").form("/settings/fill"))
        _, fill = shop.asked("Filled in by whoever has the link")
        # A link lets into both teams, and ends the session of before.
        owner = wire.member(instance)
        wire.Visitor(instance.url).sign_in("owner@localhost")
        found = acts.forms(owner, desk.pages(stock))
        links = [f"{instance.url}/sign-in", instance.setup_link("ada@example.com"), invitation]
        links.append(f"{instance.url}/fill/{fill}")
        yield instance, owner, stock, found.values(), links


@pytest.fixture(scope="module")
def forms():
    """The same for all that do nothing."""
    with every_form() as found:
        yield found


def stranger(instance, link):
    """Somebody who isn't signed in, and the form that they have open."""
    visitor = wire.Visitor(instance.url)
    return visitor, visitor.get(link).forms[0]


def all_forms(forms):
    """Each form with whoever has it open, and what they fill in."""
    instance, owner, _, found, links = forms
    for form in found:
        yield owner, form, acts.filled(form)
    for link in links:
        yield *stranger(instance, link), {"email": "owner@localhost", "password": wire.PASSWORD, "value": "a value"}


def refused(answer):
    """Whether a request was taken for a forgery, and nobody was let in."""
    let_in = any(line.startswith("strongroom=") for line in answer.all("set-cookie"))
    return answer.status == 403 and "This form didn" in answer.text and not let_in


def test_they_are_all_there(forms):
    *_, found, links = forms
    acts_found = {form.act for form in found} | {wire.Visitor(forms[0].url).get(link).forms[0].act for link in links}
    assert {*STRANGERS, "/account/team", "/secrets/{}/rollback", "/members/uninvite"} <= acts_found
    assert len(acts_found) >= 37, sorted(acts_found)


@pytest.fixture
def untouched(forms):
    """Nothing was done when the test is over: links are good, sessions go on, the team has what it had."""
    instance, owner, stock, _, links = forms
    before = acts.state(owner, stock)
    yield
    assert acts.state(owner, stock) == before
    assert [wire.Visitor(instance.url).get(link).status for link in links] == [200] * len(links)


@pytest.mark.usefixtures("untouched")
def test_what_browsers_say_of_where_it_comes_from_is_enough(forms):
    url = forms[0].url
    origins = [{"Origin": origin.format(url=url, tail=url.removeprefix("http"))} for origin in ORIGINS]
    for visitor, form, values in all_forms(forms):
        for headers in [*SITES, *origins]:
            assert refused(visitor.send(form, headers, **values)), (form.act, headers)


@pytest.mark.usefixtures("untouched")
def test_what_only_our_own_pages_carry_is_enough(forms):
    instance, _, _, _, links = forms
    _, foreign = stranger(instance, links[0])
    theirs = dict(foreign.fields)[wire.TOKEN]
    for visitor, form, values in all_forms(forms):
        own = dict(form.fields)[wire.TOKEN]
        for token in (None, "", theirs, own[:-1], own + "0", own.upper(), own[::-1]):
            if token != own:
                fields = [(name, value) for name, value in form.filled(**values) if name != wire.TOKEN]
                fields += [] if token is None else [(wire.TOKEN, token)]
                assert refused(visitor.post(form.action, fields, {})), (form.act, token)


@pytest.mark.usefixtures("untouched")
def test_a_cookie_is_needed_and_only_a_form_is_one(forms):
    for visitor, form, values in all_forms(forms):
        nobody = wire.Visitor(visitor.url)
        answer = nobody.send(form, **values)
        assert (answer.leads or "").startswith("/sign-in") or answer.status == 403, form.act
        body = wire.urlencode(form.filled(**values))
        for kind in ("text/plain", "multipart/form-data; boundary=x", "application/json", ""):
            headers = {**wire.OURS, "Content-Type": kind}
            assert visitor.post(form.action, body, headers).status == 415, (form.act, kind)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["same site", "another site"])
def test_a_browser_does_nothing_for_another_origin(forms, chromium, host):
    """Even with all that the form of our own page has in it."""
    instance, owner, *_ = forms
    with elsewhere.site(host) as site, desk.person(chromium, instance) as victim:
        for visitor, form, values in all_forms(forms):
            victim.page.context.clear_cookies()
            desk.come_in(victim.page, visitor)
            victim.page.goto(site)
            victim.page.set_content(forged(instance.url + form.action, form.filled(**values)))
            assert victim.send("Win a prize") == 403, form.act
            assert "This form didn't come from these pages" in victim.problem
    assert owner.is_in


def forged(action, fields):
    """A form of another site's that sends these."""
    hidden = "".join(f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields)
    return f'<form method="post" action="{escape(action)}">{hidden}<button>Win a prize</button></form>'


def test_no_page_is_shown_within_another(forms, chromium):
    instance, owner, stock, _, links = forms
    with elsewhere.site() as site, chromium.page() as page:
        desk.come_in(page, owner)
        for path in [*desk.pages(stock), "/", *(link.removeprefix(instance.url) for link in links)]:
            page.goto(site)
            with page.expect_console_message(lambda said: "frame-ancestors" in said.text):
                page.set_content(f'<iframe src="{instance.url}{path}"></iframe>')
            assert all("Strongroom" not in frame.content() for frame in page.frames[1:]), path
        # It would be, if it weren't forbidden.
        with page.expect_event("framenavigated", lambda frame: frame.url == site):
            page.set_content(f'<iframe src="{site}"></iframe>')
        assert page.frames[1].title() == "elsewhere"


def test_the_same_is_done_for_our_own_pages():
    """With nothing forged."""
    with every_form() as forms:
        everything = sorted(all_forms(forms), key=lambda one: acts.last(one[1]))
        for visitor, form, values in everything:
            headers = {**wire.OURS, "Origin": forms[0].url}
            answer = visitor.send(form, headers, **values)
            assert not refused(answer), form.act
            # What was filled in can't be withdrawn.
            late = (404,) if form.act == "/requests/cancel" else ()
            assert answer.status in (200, 303, 410, 422, *late), (form.act, answer.status)
