"""What is filled in or shown once is nowhere afterwards: not in the page, its history, its storage, or the log."""

import secrets
from contextlib import suppress

import pytest
from playwright.sync_api import Error

import desk
import wire
from instance import Instance

#: All places of a browser in which a page could leave something.
LEFT = """async () => JSON.stringify([
    document.documentElement.outerHTML, [...document.querySelectorAll("input, textarea")].map(field => field.value),
    document.title, document.cookie, name, history.state,
    navigation.entries().map(entry => [entry.url, entry.getState()]),
    {...sessionStorage}, {...localStorage}, await indexedDB.databases(), await caches.keys().catch(() => []),
    performance.getEntries().map(entry => entry.name),
])"""


def canary(what="canary"):
    """What is found again wherever it is."""
    return f"{what}-{secrets.token_hex(12)}"


@pytest.fixture(scope="module")
def instance():
    with Instance("--log", "trace") as running:
        yield running


@pytest.fixture
def owner(chromium, instance):
    with desk.owner(chromium, instance) as somebody:
        yield somebody


def left(person):
    """What there is to find on the page and around it."""
    try:
        return person.page.evaluate(LEFT)
    except Error:
        # The browser's own page, on which nothing of ours is.
        return person.page.locator("html").inner_html()


def back(person):
    """Goes back, if the browser does: not to an answer to a form, which it would have to ask for again."""
    with suppress(Error):
        person.page.go_back()


def gone(person, *hidden):
    """Looks for what is hidden here, on the page before, and again on this one."""
    for _ in range(3):
        for value in hidden:
            assert value not in left(person), person.page.url
        back(person)


def test_what_is_there_is_found(owner):
    value = canary()
    owner.open("/secrets/new")
    owner.page.get_by_label("Its value").first.fill(value)
    assert value in left(owner)
    for leave in ("sessionStorage.a = value", "history.pushState(value, '', '?a=' + value)", "document.title = value"):
        owner.open("/secrets")
        owner.page.evaluate(f"value => {{ {leave} }}", value)
        assert value in left(owner), leave
        owner.page.evaluate("sessionStorage.clear()")


def stored(owner, key="GOOD_NAME"):
    """Fills in a secret in every way, and sends it; what it was."""
    values = [canary(), canary()]
    owner.open("/secrets/new")
    owner.page.locator("form").evaluate_all("forms => forms.forEach(form => form.noValidate = true)")
    owner.fill("Name", "Canaries")
    owner.page.get_by_label("Name of a variable").first.fill(key)
    owner.page.get_by_label("Its value").first.fill(values[0])
    owner.opened("Or paste").fill("Lines of NAME=value", f"PASTED={values[1]}")
    return owner.send("Store it"), values


def test_values_are_gone_once_they_are_stored(owner):
    status, values = stored(owner)
    assert status == 200
    gone(owner, *values)


def test_values_are_gone_after_a_mistake_elsewhere_in_the_form(owner):
    status, values = stored(owner, "not a name")
    assert status == 422
    gone(owner, *values)


def test_new_values_are_gone(owner):
    stored(owner)
    address = owner.path
    for name, status in (("", 200), ("not a name", 422)):
        values = [canary(), canary()]
        owner.open(address)
        owner.page.locator("form").evaluate_all("forms => forms.forEach(form => form.noValidate = true)")
        owner.fill("New value of GOOD_NAME", values[0])
        owner.opened("Add variables")
        added = owner.page.locator(".row").first
        added.locator("textarea").fill(values[1])
        added.locator("input").fill("ADDED")
        owner.fill("New name of PASTED", name)
        assert owner.send("Store the change") == status
        gone(owner, *values)


def asked(owner, instance):
    """The link of a request for one value."""
    wish = {"name": "Mail", "env_var_keys": ["MAIL_KEY"]}
    status, request = instance.call("POST", f"/v2/teams/{instance.team}/fill-requests", wish)
    assert status == 201, request
    return request["url"].replace(request["url"].split("/fill/")[0], owner.url)


def test_what_was_asked_for_is_gone_once_it_is_filled_in(owner, instance):
    value, link = canary(), asked(owner, instance)
    owner.open(link)
    owner.fill("MAIL_KEY", value)
    assert owner.send("Fill it in") == 200
    gone(owner, value)
    assert value not in instance.log.read_text()


def test_what_was_asked_for_is_gone_after_a_mistake(owner, instance):
    value, link = canary(), asked(owner, instance)
    owner.open(link)
    owner.fill("MAIL_KEY", value)
    owner.page.locator("input[name=key]").evaluate("key => key.value = 'ANOTHER'")
    assert owner.send("Fill it in") == 422
    assert "fill in each value again" in owner.problem
    gone(owner, value)
    assert value not in instance.log.read_text()


def test_what_was_filled_in_by_the_link_alone_is_gone(owner, chromium, instance):
    owner.open("/settings")
    owner.opened("Let the link be enough").send("Let the link be enough")
    with chromium.page() as page:
        for key, status in [("ANOTHER", 422), ("MAIL_KEY", 200)]:
            stranger, value, link = desk.Person(page, owner.url), canary(), asked(owner, instance)
            stranger.open(link)
            stranger.fill("MAIL_KEY", value)
            page.locator("input[name=key]").evaluate("(field, key) => field.value = key", key)
            assert stranger.send("Fill it in") == status
            gone(stranger, value)
            assert value not in instance.log.read_text()
    owner.open("/settings")
    owner.send("Have people sign in")


def test_a_request_s_link_is_gone_once_it_was_seen(owner):
    owner.open("/requests")
    form = owner.opened("Ask for a secret")
    form.fill("Name", "Mail")
    form.fill("Variables", "MAIL_KEY")
    form.send("Make a link")
    token = owner.page.locator("#link").inner_text().rsplit("/", 1)[1]
    owner.follow("I have sent it")
    gone(owner, token)


def test_a_key_is_gone_once_it_was_seen(owner, instance):
    owner.open("/keys")
    form = owner.opened("Make a key")
    form.fill("Name", "seen once")
    form.send("Make the key")
    key = owner.page.locator("#key").inner_text()
    owner.follow("I have kept it")
    made = instance.call("GET", f"/v2/teams/{instance.team}/api-keys")[1]
    gone(owner, key, key.removeprefix("srk_"))
    assert instance.call("GET", f"/v2/teams/{instance.team}/api-keys")[1] == made, "going back makes no other"


def test_an_invitation_is_gone_once_it_was_seen(owner, instance):
    instance.call(
        "POST", f"/v2/teams/{instance.team}/members", {"name": "Ada", "role": "member", "email": "a@b.example"}
    )
    owner.open("/members")
    owner.row("a@b.example").send("Invite")
    link = owner.page.locator("#link").inner_text().rsplit("/", 1)[1]
    owner.follow("I have sent it")
    gone(owner, link)


def test_passwords_and_codes_are_gone(owner, chromium):
    owner.open("/account")
    form = owner.opened("Add an authenticator app")
    secret = owner.page.locator("code.wide").inner_text()
    form.fill("What the app shows now", desk.totp(secret))
    form.fill("Your password", wire.PASSWORD)
    form.send("Add the app")
    codes = owner.page.locator("#codes").inner_text().split()
    owner.follow("I have kept them")
    gone(owner, *codes, wire.PASSWORD)
    for password in (canary("a wrong password"), wire.PASSWORD):
        with chromium.page() as page:
            somebody = desk.Person(page, owner.url)
            somebody.sign_in("owner@localhost", password, codes[0])
            assert somebody.path == ("/overview" if password == wire.PASSWORD else "/sign-in")
            gone(somebody, password, codes[0])


def test_nothing_of_it_is_in_the_log(owner, instance):
    status, values = stored(owner)
    assert status == 200
    stored_wrongly, others = stored(owner, "not a name")
    assert stored_wrongly == 422
    tokens = [cookie["value"] for cookie in owner.page.context.cookies()]
    log = instance.log.read_text()
    assert "TRACE" in log or "DEBUG" in log, "all is logged"
    for hidden in ("canary", *values, *others, wire.PASSWORD, "srs_", "srk_", "srl_", *tokens):
        assert hidden not in log, hidden
