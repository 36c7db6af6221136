"""The desk is for everybody: at a desk by day and by night, on a phone, with a keyboard alone, and on a slow line."""

import time

import pytest

import brokered
import browser
import desk
import wire
from elsewhere import site
from instance import Instance
from stock import Shop, stocked

LONG = "The billing service's credentials for the European subsidiaries, which finance changes each quarter in January"
#: All that the keyboard must reach. Of buttons that exclude each other, arrows lead from the chosen one to the others.
REACHED = """() => {
    const kinds = "a[href], button, input:not([type=hidden], [type=radio]:not(:checked)), select, textarea, summary";
    const all = [...document.querySelectorAll(kinds)];
    return all.filter(one => one.checkVisibility() && !one.closest("details:not([open]) > :not(summary)"))
        .map((one, at) => { one.dataset.at = at; return String(at); });
}"""


@pytest.fixture(scope="module")
def crowded():
    """A team that has been at it for a while."""
    with Instance() as instance:
        shop = Shop(instance)
        stock = stocked(shop)
        for number in range(9):
            name = LONG if number == 3 else f"Service number {number}"
            shop.secret(
                name,
                shared=number % 2 == 0,
                values={f"{name[:7].strip().upper()}_KEY_{at}".replace(" ", "_"): "v" for at in range(number + 1)},
            )
            agent = shop.agent(LONG if number == 4 else f"Agent number {number}")
            shop.revision(agent, "2024-06")
            run, _ = shop.run(agent, note=LONG if number == 5 else f"job {number}")
            if number % 3 == 0:
                shop.ask("POST", f"/v2/runs/{run}/stop")
        many(shop, stock)
        ask_for_more(shop, stock)
        yield instance, shop, stock


def many(shop, stock):
    """Much of what one page shows."""
    again = shop.secret("Payments, again", values={"API_KEY": "changeme", "OTHER_KEY": '"quoted"'}, shared=False)
    shop.attach(stock.agent, stock.revision, again)
    for at in range(6):
        shop.ask("PATCH", f"/v2/credentials/{stock.secret}", {"add_values": {f"KEY_{at}": "v"}})
        shop.revision(stock.agent, f"2024-0{at + 1}")
    for role in ("member", "builder", "manager", "administrator", "owner"):
        shop.member(f"{role.capitalize()} Lovelace", role, f"{role}.lovelace@subsidiary.example.com")
    shop.member(LONG, "builder", f"{'a-long-name-' * 8}@example.com")
    robot = shop.member("Build server", "builder")
    shop.api_key(
        "deploy on the build server", service_user_id=robot, role="builder", cidrs=["192.0.2.0/24", "2001:db8::/32"]
    )
    shop.api_key(LONG, agents=[stock.agent], expires_at="2099-01-01T00:00:00Z")
    revoked, _ = shop.api_key("an old one")
    shop.ask("DELETE", f"/v2/teams/{shop.team}/api-keys/{revoked}")


def ask_for_more(shop, stock):
    """Requests of a person's and of a run's, and what somebody was refused."""
    shop.asked(
        LONG, env_var_keys=[f"BILLING_ACCOUNT_KEY_{at}" for at in range(9)], service_slug="billing", note=LONG * 4
    )
    ada = shop.ask("GET", f"/v2/teams/{shop.team}/members?search=member.lovelace")["members"][0]
    link = shop.ask("POST", f"/v2/teams/{shop.team}/key-links", {"user_id": ada["id"], "name": "a laptop"})["link"]
    key = shop.ask("POST", "/v2/key-links/claim", key=link)["api_key"]
    for path in (f"/v2/credentials/{stock.secret}", f"/v2/agents/{stock.agent}", f"/v2/teams/{shop.team}"):
        shop.refused("DELETE", path, key)


def by_the_broker(shop):
    """A run that asked for something, and was refused more; its id."""
    with site("localhost") as url:
        agent = shop.agent("Invoices by the broker")
        secret = shop.secret("Invoices", values={"INVOICES_KEY": "a value"})
        rule = brokered.rule(url, path_prefix="/v1/")
        shop.ask("PUT", f"/v2/credentials/{secret}/policy", {"rules": [rule], "broker_only": True})
        shop.attach(agent, shop.revision(agent, "one"), secret)
        run = brokered.Run(shop, agent)
        key = run.environment["INVOICES_KEY"]
        for path in ("v1/invoices", f"v1/{'a-long-path/' * 20}", "v2/invoices"):
            run.asks("GET", url + path, Authorization=f"Bearer {key}")
        run.asks("POST", "http://collector.example/")
        run.asks("GET", f"{url}v1/invoices", Authorization="Bearer of-another")
    # Each is recorded a tenth of a second later at the latest.
    time.sleep(0.5)
    return run.id, secret


def policy_refused(person, secret):
    person.open(f"/secrets/{secret}/policy")
    form = person.opened("Rule 1")
    form.fill("Host", "10.0.0.1")
    form.fill("Methods", "CONNECT")
    person.send("See what it would allow")


def policy_wanted(person, secret):
    """More than is allowed: all values are to be filled in again."""
    person.open(f"/secrets/{secret}/policy")
    person.opened("Rule 1").fill("Paths under", "/")
    person.send("One more rule")
    form = person.within(person.page.get_by_role("group", name="Rule 2"))
    form.fill("Host", "*.a-host-with-quite-a-long-name.subsidiaries.example.com")
    form.tick("Credentials that are none")
    person.send("See what it would allow")


def opened(person, path, fold=None):
    """A page, with what is folded away in it."""
    person.open(path)
    if fold:
        person.opened(fold)


def refused_secret(person):
    person.open("/secrets/new")
    person.fill("Name", "Payments")
    person.page.get_by_label("Name of a variable").first.fill("API_KEY")
    person.send("Store it")


def refused_member(person):
    person.open("/members")
    form = person.opened("Add a member")
    form.fill("Name", "Ada")
    form.fill("Email address", "owner@localhost")
    form.send("Add")


def refused_password(person):
    person.open("/account")
    form = person.opened("Change the password")
    form.fill("Password", "not the right one")
    form.fill("New password", "quite a long password")
    form.send("Change the password")


def new_key(person):
    person.open("/keys")
    form = person.opened("Make a key")
    form.fill("Name", "deploy")
    form.send("Make the key")


def removing(person):
    person.open("/members")
    person.row("member.lovelace").opened("Remove")


def invited(person):
    person.open("/members")
    person.row("member.lovelace").send("Invite")


def revoked_run(person, shop, stock):
    """Another than that which asks for something."""
    run, token = shop.run(stock.agent)
    shop.received(token)
    person.open(f"/runs/{run}")
    person.opened("Its values may be in wrong hands").send("Revoke it, and list what to change")


def named_at_length(person, shop):
    """The team, in the head of the page."""
    shop.ask("PATCH", f"/v2/teams/{shop.team}", {"name": LONG})
    person.open("/secrets")
    shop.ask("PATCH", f"/v2/teams/{shop.team}", {"name": "My team"})


def fill_refused(person, stock):
    person.open(f"/fill/{stock.fill}")
    person.page.locator("form").evaluate_all("forms => forms.forEach(form => form.noValidate = true)")
    person.send("Fill it in")


def asked(person):
    person.open("/requests")
    form = person.opened("Ask for a secret")
    form.fill("Name", "Stripe")
    form.fill("Variables", "STRIPE_API_KEY STRIPE_WEBHOOK_SECRET")
    form.fill("What for", "to send the invoices of November")
    form.send("Make a link")


def asked_themselves(person):
    asked(person)
    person.open(person.page.locator("#link").inner_text())


def asked_wrongly(person):
    person.open("/requests")
    form = person.opened("Ask for a secret")
    form.fill("Name", "Stripe")
    form.fill("Variables", "not-a-name")
    form.send("Make a link")


def filled_in(person, shop):
    _, fill = shop.asked("Weather")
    person.open(f"/fill/{fill}")
    person.fill("API_KEY", "a value")
    person.send("Fill it in")


def not_deleted(person):
    person.open("/settings")
    form = person.opened("Delete this team")
    form.fill("Its name, to be sure", "Another")
    form.send("Delete the team")


def done(person, path):
    person.open(f"{path}?done=secret-changed")


def states(shop, stock):
    """What the desk looks like: its pages as they are opened, and as they are in use."""
    pages = {
        path.strip("/").replace("{", "").replace("}", "").replace("/", "-"): path.format(**vars(stock))
        for path in desk.PAGES
    }
    shown = {name: lambda person, path=path: opened(person, path) for name, path in pages.items()}
    run, secret = by_the_broker(shop)
    return shown | {
        "secrets-none-found": lambda person: opened(person, "/secrets?search=nothing+like+it"),
        "secrets-new-pasting": lambda person: opened(person, "/secrets/new?service=aws", "Or paste"),
        "secrets-new-refused": refused_secret,
        "secret-adding": lambda person: opened(person, f"/secrets/{stock.secret}", "Add variables"),
        "secret-deleting": lambda person: opened(person, f"/secrets/{stock.secret}", "Delete this secret"),
        "secret-for-the-broker": lambda person: opened(person, f"/secrets/{secret}"),
        "policy-changing": lambda person: opened(person, f"/secrets/{secret}/policy", "Rule 1"),
        "policy-refused": lambda person: policy_refused(person, secret),
        "policy-wanted": lambda person: policy_wanted(person, secret),
        "run-by-the-broker": lambda person: opened(person, f"/runs/{run}"),
        "secret-changed": lambda person: done(person, f"/secrets/{stock.secret}"),
        "keys-making": lambda person: opened(person, "/keys", "Make a key"),
        "keys-made": new_key,
        "members-adding": lambda person: opened(person, "/members", "Add a member"),
        "members-refused": refused_member,
        "members-invited": invited,
        "account-password": lambda person: opened(person, "/account", "Change the password"),
        "account-app": lambda person: opened(person, "/account", "Add an authenticator app"),
        "account-refused": refused_password,
        "run-revoked": lambda person: revoked_run(person, shop, stock),
        "members-removing": removing,
        "team-named-at-length": lambda person: named_at_length(person, shop),
        "not-here": lambda person: person.open("/secrets/nothing"),
        "no-such-page": lambda person: person.open("/nothing"),
        "requests-asking": lambda person: opened(person, "/requests", "Ask for a secret"),
        "requests-refused": asked_wrongly,
        "requests-made": asked,
        "fill-refused-here": lambda person: fill_refused(person, stock),
        "fill-used-here": lambda person: person.open(f"/fill/srl_{'0' * 60}"),
        "filled-in": lambda person: filled_in(person, shop),
        "overview-table": lambda person: opened(person, "/overview", "As a table"),
        "audit-filtered": lambda person: opened(person, "/audit?group=secrets&since=2024-01-01&search=payments"),
        "audit-refusals": lambda person: opened(person, "/audit?group=refusals"),
        "audit-none-found": lambda person: opened(person, "/audit?search=nothing+like+it"),
        "settings-link-enough": lambda person: opened(person, "/settings", "Let the link be enough"),
        "settings-founding": lambda person: opened(person, "/settings", "Create a team"),
        "settings-refused": not_deleted,
    }


def of_others(stock):
    """What somebody sees who has no role to speak of, and asks for something themselves."""
    return {
        "overview-of-a-member": lambda person: opened(person, "/overview"),
        "settings-of-a-member": lambda person: opened(person, "/settings"),
        "audit-of-a-member": lambda person: opened(person, "/audit"),
        "requests-of-a-member": lambda person: opened(person, "/requests"),
        "fill-of-the-asker": asked_themselves,
        "fill-without-a-role": lambda person: opened(person, f"/fill/{stock.fill}"),
    }


def of_managers(stock):
    """What somebody sees who fills in what others ask for."""
    return {"fill-of-a-manager": lambda person: opened(person, f"/fill/{stock.fill}")}


def elsewhere(instance, shop, owner):
    """What the owner sees in another team, and who isn't signed in where the link is enough."""
    other = shop.other_team("Second")
    _, there = other.asked("Mail", service_slug="sendgrid", env_var_keys=["SENDGRID_API_KEY"], note="for the letters")
    # A link lets into all of one's teams.
    mine = wire.member(instance)
    [go] = [form for form in mine.get("/account").forms if form.about.get("team") == other.team]
    mine.send(go)
    mine.send(mine.get("/settings").form("/settings/fill"))
    desk.come_in(owner.page, mine)
    _, here = shop.asked("Mail")
    return here, there


def strangers(instance, fill):
    """What they see who aren't signed in."""
    link = instance.setup_link("administrator.lovelace@subsidiary.example.com")

    def wrong(person):
        person.sign_in("ada@example.com", "not the right one")

    return {
        "sign-in": lambda person: opened(person, "/sign-in"),
        "sign-in-over": lambda person: opened(person, "/sign-in?over=yes&to=/secrets"),
        "sign-in-team-deleted": lambda person: opened(person, "/sign-in?done=team-deleted"),
        "fill-alone": lambda person: opened(person, f"/fill/{fill}"),
        "no-such-page-alone": lambda person: person.open("/nothing"),
        "sign-in-help": lambda person: opened(person, "/sign-in", "You can't"),
        "sign-in-refused": wrong,
        "set-up": lambda person: opened(person, link),
        "set-up-app": lambda person: opened(person, link, "Add an authenticator app"),
        "link-used": lambda person: person.open("/setup/nothing"),
    }


def empty(stock):
    """A team's first day."""
    del stock
    return {
        f"first-{path.strip('/').replace('/', '-')}": lambda person, path=path: opened(person, path)
        for path in desk.PAGES
        if "{" not in path
    }


#: What can be used and is cut off at the side.
CUT_OFF = """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
    .filter(one => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth).map(one => one.outerHTML)"""


def examine(person, name, screen):
    """Whether everybody can use what is open now; and a picture of it."""
    page = person.page
    assert desk.complaints(page) == [], name
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    browser.picture(page, f"{name}-{screen}")
    assert wide <= 0, f"{name} is {wide} pixels too wide"
    assert page.evaluate(CUT_OFF) == [], name
    assert browser.barriers(page) == [], name
    weight = browser.weight(page)
    assert 4_000 < weight <= 150 * 1024, name
    return weight


@pytest.mark.parametrize("screen", browser.SCREENS)
def test_every_page_is_for_everybody(crowded, chromium, instance, screen):
    busy, shop, stock = crowded
    looks = browser.SCREENS[screen]
    weights = {}
    with desk.owner(chromium, busy, **looks) as owner:
        for name, show in states(shop, stock).items():
            show(owner)
            weights[name] = examine(owner, name, screen)
        here, there = elsewhere(busy, shop, owner)
        for name, path in {"fill-of-another-team": f"/fill/{here}", "settings-links-enough": "/settings"}.items():
            owner.open(path)
            weights[name] = examine(owner, name, screen)
    for email, shows in [("builder.", of_others(stock)), ("manager.", of_managers(stock))]:
        with desk.person(chromium, busy, f"{email}lovelace@subsidiary.example.com", **looks) as other:
            for name, show in shows.items():
                show(other)
                weights[name] = examine(other, name, screen)
    with desk.person(chromium, busy, **looks) as stranger:
        for name, show in strangers(busy, there).items():
            show(stranger)
            weights[name] = examine(stranger, name, screen)
    with desk.owner(chromium, instance, **looks) as newcomer:
        for name, show in empty(stock).items():
            show(newcomer)
            weights[name] = examine(newcomer, name, screen)
    heaviest = max(weights, key=weights.get)
    print(f"{screen}: the heaviest of {len(weights)} is {heaviest}, {weights[heaviest]} bytes")


def unreached(page):
    """What the keyboard doesn't come to, of all that it should."""
    wanted = set(page.evaluate(REACHED))
    assert len(wanted) > 8, page.url
    for _ in range(2 * len(wanted)):
        page.keyboard.press("Tab")
        wanted.discard(page.evaluate("document.activeElement.dataset.at"))
        if not wanted:
            break
    return wanted


def test_the_keyboard_reaches_all(crowded, chromium):
    instance, _, stock = crowded
    with desk.owner(chromium, instance) as owner:
        for path in desk.pages(stock):
            owner.open(path)
            assert unreached(owner.page) == set(), path


def test_what_is_out_of_reach_or_sight_is_noticed(chromium, instance):
    with desk.owner(chromium, instance, **browser.SCREENS["phone"]) as owner:
        owner.open("/members")
        assert owner.page.evaluate(CUT_OFF) == []
        owner.page.evaluate("document.querySelector('main summary').tabIndex = -1")
        assert len(unreached(owner.page)) == 1
        owner.page.evaluate("document.querySelector('main summary').style.marginLeft = '400px'")
        assert len(owner.page.evaluate(CUT_OFF)) == 1


def test_labels_are_of_the_field_beside_them(crowded, chromium):
    """No two things on a page have the same name in it."""
    instance, _, stock = crowded
    owner = wire.member(instance)
    with desk.person(chromium, instance) as somebody:
        desk.come_in(somebody.page, owner)
        for path in [*desk.pages(stock), instance.setup_link("builder.lovelace@subsidiary.example.com")]:
            somebody.open(path)
            ids = somebody.page.eval_on_selector_all("[id]", "all => all.map(one => one.id)")
            assert len(ids) == len(set(ids)), path
            stray = somebody.page.eval_on_selector_all(
                "label[for]", "all => all.map(one => one.htmlFor).filter(id => !document.getElementById(id))"
            )
            assert stray == [], path
