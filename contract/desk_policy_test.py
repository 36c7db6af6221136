"""Where secrets may be used, at the desk: told in plain words, changed rule by rule, looked at before it is stored; and
what runs asked for by the broker, as it happens."""

import pytest

import brokered
import browser
import desk
import elsewhere

#: Stands in every value that is filled in here, and may stand on no page.
HIDDEN = "hidden-6f1e"
STRIPE = "Any request to https://api.stripe.com, in the header Authorization as Bearer"


def policy(shop, secret):
    return shop.ask("GET", f"/v2/credentials/{secret}/policy")


def set_policy(shop, secret, *rules, broker_only=False):
    shop.ask("PUT", f"/v2/credentials/{secret}/policy", {"rules": rules, "broker_only": broker_only})


def rules_told(person):
    """The rules on a page, in words."""
    return [item.inner_text() for item in person.page.locator("main ul li").all()]


def at(person, number):
    """The form of one rule, opened."""
    return person.opened(f"Rule {number}")


def values(person):
    """The fields for values: their names as they stand there."""
    return [field.input_value() for field in person.page.get_by_label("Name of a variable").all()]


def stored(shop, name="Payments", **more):
    """A secret with a value that may be seen nowhere."""
    return shop.secret(name, values={"API_KEY": HIDDEN}, **more)


@desk.without_scripts_too
def test_it_is_told_where_a_secret_may_be_used_and_why(owner, shop):
    known, unknown = stored(shop, service_slug="stripe"), stored(shop, service_slug="a shop nearby")
    owner.open(f"/secrets/{known}")
    assert STRIPE in owner.text
    assert "what is known of the service Stripe; nothing was set for this secret" in owner.text
    assert "Runs that don't go by the broker have its values in their environment" in owner.text
    owner.open(f"/secrets/{unknown}")
    assert "Nowhere by the broker" in owner.text
    set_policy(shop, unknown, brokered.rule("http://shop.example:8080", methods=["GET"]), broker_only=True)
    owner.open(f"/secrets/{unknown}")
    assert (
        "GET to http://shop.example:8080, in the header Authorization as Bearer; anybody on the way can read it"
        in owner.text
    )
    assert "This was set for this secret" in owner.text
    assert "Only by the broker: no run has its values in its environment" in owner.text


@desk.without_scripts_too
def test_one_is_filled_in_looked_at_and_stored(owner, shop):
    secret = stored(shop)
    owner.open(f"/secrets/{secret}")
    owner.follow("Change where it may be used")
    rule = owner.within(owner.page.get_by_role("group", name="Rule 1"))
    rule.fill("Host", "api.shop.example")
    rule.fill("Methods", "get, post")
    rule.fill("Paths under", "/v1/")
    assert owner.send("One more rule") == 200
    rule = owner.within(owner.page.get_by_role("group", name="Rule 2"))
    rule.fill("Host", "*.shop.example")
    rule.fill("Port", "8443")
    rule.choose("Where the value goes", "Basic: password")
    assert owner.send("See what it would allow") == 200
    told = [
        "GET and POST to https://api.shop.example, paths under /v1/, in the header Authorization as Bearer new",
        "Any request to https://*.shop.example:8443 (any one name for the *), "
        "as the password of Basic authentication new",
    ]
    assert rules_told(owner)[:2] == told
    assert "still receive its values in their environment" in owner.text
    assert policy(shop, secret)["source"] == "none", "nothing is stored yet"
    owner.send("Store it")
    assert "The policy is stored" in owner.notice
    assert owner.path == f"/secrets/{secret}"
    assert [rule["host"] for rule in policy(shop, secret)["rules"]] == ["api.shop.example", "*.shop.example"]
    assert policy(shop, secret)["rules"][0]["methods"] == ["GET", "POST"]
    assert "version 1" in owner.text


@desk.without_scripts_too
def test_rules_are_changed_and_removed(owner, shop):
    secret = stored(shop, service_slug="stripe")
    owner.open(f"/secrets/{secret}/policy")
    at(owner, 1).fill("Methods", "GET")
    for number in (2, 3, 4):
        at(owner, number).tick("Remove this rule")
    owner.send("See what it would allow")
    assert rules_told(owner)[0] == STRIPE.replace("Any request", "GET"), "nothing of it is new"
    assert f"No longer as a whole: {STRIPE}" in owner.text
    assert "No longer as a whole: Any request to https://files.stripe.com" in owner.text
    owner.send("Change it further")
    at(owner, 1).fill("Port", "8443")
    owner.tick("Never in an environment")
    owner.send("See what it would allow")
    assert "Environments: no run receives its values there" in owner.text
    owner.send("Store it")
    [rule] = policy(shop, secret)["rules"]
    assert (rule["methods"], rule["port"], policy(shop, secret)["broker_only"]) == (["GET"], 8443, True)


WRONG = [
    ("Host", "10.0.0.1", "Must be a name, not an address."),
    ("Host", "api example", "Must be a name of letters"),
    ("Host", "intranet", "Is a single label"),
    ("Port", "70000", "Must be a number from 1 to 65535"),
    ("Methods", "CONNECT", "Must be methods"),
    ("Paths under", "/v1/../v2", "Must be a path"),
    ("Called", "host", "Must not be a header that frames"),
    ("Behind the word", "Basic", "Must not be Basic"),
]


@desk.without_scripts_too
def test_what_is_wrong_is_said_beside_its_field(owner, shop):
    secret = stored(shop, service_slug="openai")
    for label, text, told in WRONG:
        owner.open(f"/secrets/{secret}/policy")
        at(owner, 1).fill(label, text)
        assert owner.send("See what it would allow") == 422, text
        field = owner.page.get_by_label(label, exact=True)
        assert field.is_visible(), "a rule that isn't right stands open"
        assert field.input_value() == text
        beside = owner.page.locator(f"#{field.get_attribute('aria-describedby')}")
        assert told in beside.inner_text(), (text, beside.inner_text())
        assert "beside its field" in owner.problem
    assert policy(shop, secret)["source"] == "service"


@desk.without_scripts_too
def test_nothing_is_let_out_without_all_values_again(owner, shop):
    secret = stored(shop)
    set_policy(shop, secret, brokered.rule("http://one.example"), broker_only=True)
    owner.open(f"/secrets/{secret}/policy")
    owner.tick("Never in an environment", False)
    owner.send("See what it would allow")
    assert "fill in all of them anew" in owner.text
    assert values(owner)[0] == "API_KEY"
    assert owner.send("Store it") == 422
    assert "The value of API_KEY" in owner.problem
    assert policy(shop, secret)["broker_only"]
    owner.page.get_by_label("Its value").first.fill(f"{HIDDEN} anew")
    owner.opened("Or paste").fill("Lines of NAME=value", f"not a line of it {HIDDEN}")
    assert owner.send("Store it") == 422
    assert HIDDEN not in owner.page.content()
    owner.page.get_by_label("Its value").first.fill(f"{HIDDEN} anew")
    owner.send("Store it")
    assert "The policy is stored" in owner.notice
    assert not policy(shop, secret)["broker_only"]
    assert "version 2" in owner.text
    assert not owner.page.get_by_role("button", name="Go back to it").count(), "no earlier version comes back"


def test_less_is_allowed_without_them(owner, shop):
    secret = stored(shop)
    set_policy(shop, secret, brokered.rule("http://one.example"), broker_only=True)
    owner.open(f"/secrets/{secret}/policy")
    at(owner, 1).fill("Methods", "GET")
    owner.send("See what it would allow")
    assert values(owner) == []
    owner.send("Store it")
    assert policy(shop, secret)["rules"][0]["methods"] == ["GET"]
    assert "version 1" in owner.text


def test_what_was_shown_is_what_is_replaced(owner, shop):
    """Two people have it open: what the first stored isn't undone unseen."""
    secret = stored(shop)
    owner.open(f"/secrets/{secret}/policy")
    owner.fill("Host", "api.shop.example")
    owner.send("See what it would allow")
    set_policy(shop, secret, broker_only=True)
    assert owner.send("Store it") == 409
    assert "Somebody changed it just now" in owner.problem
    assert policy(shop, secret)["broker_only"]


@pytest.mark.parametrize("role", ["member", "manager"])
def test_who_may_not_change_it_is_told_all_the_same(chromium, instance, shop, role):
    secret = stored(shop, service_slug="stripe")
    shop.member("Ada", role, "ada@example.com")
    with desk.person(chromium, instance, "ada@example.com") as ada:
        ada.open(f"/secrets/{secret}")
        assert STRIPE in ada.text
        may = role == "manager"
        assert ada.page.get_by_role("link", name="Change where it may be used").count() == may
        ada.open(f"/secrets/{secret}/policy")
        assert STRIPE in ada.text
        assert ada.page.get_by_role("button", name="See what it would allow").count() == may


def test_as_many_rules_as_there_may_be_are_a_page(owner, shop):
    secret = stored(shop)
    rules = [brokered.rule(f"http://host{number}.example") for number in range(64)]
    set_policy(shop, secret, *rules)
    owner.open(f"/secrets/{secret}/policy")
    assert owner.send("One more rule") == 200
    assert owner.page.get_by_role("group", name="Rule").count() == 0, "all of them are folded"
    assert browser.weight(owner.page) <= 220 * 1024
    assert owner.send("See what it would allow") == 200
    owner.send("Store it")
    assert len(policy(shop, secret)["rules"]) == 64


@pytest.fixture
def at_work(shop):
    """A run by the broker, and where it may use its secret."""
    with elsewhere.site("localhost") as url:
        agent, secret = shop.agent("Invoices"), stored(shop)
        other = shop.secret("Mail", values={"MAIL_KEY": HIDDEN})
        revision = shop.revision(agent, "one")
        for one in (secret, other):
            shop.attach(agent, revision, one)
        set_policy(shop, secret, brokered.rule(url, path_prefix="/v1/"))
        yield brokered.Run(shop, agent), url, secret, other


def requests(person, least):
    """The rows of what a run asked for, once there are so many and all are over: each is recorded a moment later."""
    for _ in range(50):
        person.page.reload()
        rows = [row.inner_text() for row in person.page.locator(".requests tbody tr").all()]
        if len(rows) >= least and not any("going on" in row or "none yet" in row for row in rows):
            return rows
        person.page.wait_for_timeout(100)
    raise AssertionError(person.text)


@desk.without_scripts_too
def test_what_a_run_asks_for_is_seen(owner, at_work):
    run, url, *_ = at_work
    owner.open(f"/runs/{run.id}")
    assert "put in by the broker" in owner.text
    assert "Nothing so far" in owner.text
    key = run.environment["API_KEY"]
    assert run.asks("GET", f"{url}v1/charges?limit=3", Authorization=f"Bearer {key}") == 200
    [row] = requests(owner, 1)
    assert "200" in row
    assert f"GET {url}v1/charges" in row
    assert "limit" not in row, "queries aren't recorded"
    assert "Payments" in row
    assert "0 B, 39 B" in row
    assert HIDDEN not in owner.page.content()


@desk.without_scripts_too
def test_a_refusal_says_what_is_missing_and_where_it_is_added(owner, at_work):
    run, url, secret, other = at_work
    assert run.asks("DELETE", "http://nowhere.example/all") == 403
    assert run.asks("GET", f"{url}v2/charges") == 403
    assert run.asks("GET", f"{url}v1/charges", Authorization="Bearer of-somebody-else") == 403
    owner.open(f"/runs/{run.id}")
    foreign, uncovered, nowhere = requests(owner, 3)
    assert "A credential that is none of the run's" in foreign
    assert "There are rules for this host, but none for this method and path" in uncovered
    assert "No secret of the run may be used at this host" in nowhere
    for row in (foreign, uncovered):
        assert "refused" in row
        assert "The policy of Payments" in row
    links = owner.page.locator("h3#policies ~ ul a").all()
    assert {link.get_attribute("href") for link in links} == {f"/secrets/{one}/policy" for one in (secret, other)}
    owner.follow("The policy of Payments")
    assert owner.path == f"/secrets/{secret}/policy"
    assert owner.send("See what it would allow") == 200


def test_requests_are_followed_by_themselves_and_turned_over(owner, at_work):
    run, *_ = at_work
    owner.page.clock.install()
    owner.open(f"/runs/{run.id}")
    for number in range(130):
        assert run.asks("GET", f"http://nowhere.example/{number}") == 403
    owner.page.wait_for_timeout(1_000)
    with owner.page.expect_navigation():
        owner.page.clock.run_for(6_000)
    assert "nowhere.example/129" in owner.page.locator(".requests tbody tr").first.inner_text()
    seen = owner.page.locator(".requests tbody tr").count()
    owner.follow("Older")
    assert not owner.page.locator("[data-reload]").count(), "what is older stays"
    seen += owner.page.locator(".requests tbody tr").count()
    assert seen == 130
    owner.follow("Newest")
    assert owner.path == f"/runs/{run.id}"


def test_what_runs_of_others_asked_for_is_for_managers(chromium, instance, shop, at_work):
    run, *_ = at_work
    run.asks("GET", "http://nowhere.example/")
    shop.member("Ada", "builder", "ada@example.com")
    with desk.person(chromium, instance, "ada@example.com") as ada:
        ada.open(f"/runs/{run.id}")
        assert "Managers see what runs of others asked for" in ada.text
        assert "nowhere.example" not in ada.text
