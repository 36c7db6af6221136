"""What people sign in with, where they are signed in, and in which team."""

import time
from contextlib import contextmanager

import desk
import wire

ADDRESS = "owner@localhost"
NEWER = "another quite long password"


@contextmanager
def elsewhere(chromium, owner):
    """The same address in another browser, where nobody is signed in."""
    with chromium.page() as page:
        yield desk.Person(page, owner.url)


def fresh_code(secret):
    """What the app shows next: each is good once, and one 30 seconds early."""
    return desk.totp(secret, time.time() + 30)


def with_app(owner):
    """Adds an app; its secret, and the recovery codes."""
    owner.open("/account")
    form = owner.opened("Add an authenticator app")
    secret = owner.page.locator("code.wide").inner_text()
    form.fill("What the app shows now", desk.totp(secret))
    form.fill("Your password", wire.PASSWORD)
    form.send("Add the app")
    codes = owner.page.locator("#codes").inner_text().split()
    owner.follow("I have kept them")
    return secret, codes


@desk.without_scripts_too
def test_people_sign_out_and_in(owner):
    owner.sign_out()
    assert owner.path == "/sign-in"
    owner.open("/members")
    assert owner.path == "/sign-in"
    owner.fill("Email address", ADDRESS)
    owner.fill("Password", "not the right one")
    assert owner.send("Sign in") == 422
    assert owner.problem == "The address, the password or the code is wrong."
    assert owner.page.get_by_label("Email address").input_value() == ADDRESS
    owner.fill("Password", wire.PASSWORD)
    owner.send("Sign in")
    assert owner.path == "/members", "where they were going"
    owner.open("/account")
    assert "Chrome on Linux" in owner.row("this one").text


@desk.without_scripts_too
def test_a_password_is_changed(owner, chromium):
    owner.open("/account")
    form = owner.opened("Change the password")
    form.fill("Password", "not the right one")
    form.fill("New password", NEWER)
    assert form.send("Change the password") == 422
    assert owner.problem.startswith("The password or the code is wrong"), "no address is asked for here"
    assert owner.page.get_by_label("New password").is_visible(), "what was refused stays open"
    form.fill("Password", wire.PASSWORD)
    form.fill("New password", "too short")
    assert form.send("Change the password") == 422
    assert "15 characters" in owner.problem
    form = owner.opened("Change the password")
    form.fill("Password", wire.PASSWORD)
    form.fill("New password", NEWER)
    form.send("Change the password")
    assert "Your password is changed" in owner.notice
    with elsewhere(chromium, owner) as other:
        other.sign_in(ADDRESS)
        assert other.path == "/sign-in"
        other.sign_in(ADDRESS, NEWER)
        assert other.path == "/overview"


@desk.without_scripts_too
def test_an_app_is_added_used_and_removed(owner, chromium):
    secret, codes = with_app(owner)
    assert len(codes) == 10
    with elsewhere(chromium, owner) as other:
        other.sign_in(ADDRESS)
        assert other.path == "/sign-in", "the password alone is too little"
        other.sign_in(ADDRESS, code=fresh_code(secret))
        assert other.path == "/overview"
    owner.open("/account")
    assert "10 recovery codes are left" in owner.text
    form = owner.opened("Do without an app")
    form.fill("Password", wire.PASSWORD)
    form.fill("Code", codes[0])
    form.send("Remove the app")
    assert "You sign in without an app now" in owner.notice
    with elsewhere(chromium, owner) as other:
        other.sign_in(ADDRESS)
        assert other.path == "/overview"


def test_a_recovery_code_is_good_once_and_new_ones_end_the_old(owner, chromium):
    _, codes = with_app(owner)
    with elsewhere(chromium, owner) as other:
        other.sign_in(ADDRESS, code=codes[0])
        assert other.path == "/overview"
        other.sign_out()
        other.sign_in(ADDRESS, code=codes[0])
        assert other.path == "/sign-in"
    owner.open("/account")
    assert "9 recovery codes are left" in owner.text
    form = owner.opened("Make new recovery codes")
    form.fill("Password", wire.PASSWORD)
    form.fill("Code", codes[1])
    form.send("Make new codes")
    newer = owner.page.locator("#codes").inner_text().split()
    assert not set(newer) & set(codes)
    with elsewhere(chromium, owner) as other:
        other.sign_in(ADDRESS, code=codes[2])
        assert other.path == "/sign-in"
        other.sign_in(ADDRESS, code=newer[0])
        assert other.path == "/overview"


def test_an_app_that_shows_something_else_is_not_added(owner):
    owner.open("/account")
    form = owner.opened("Add an authenticator app")
    form.fill("What the app shows now", "000000")
    form.fill("Your password", wire.PASSWORD)
    assert form.send("Add the app") == 422
    assert "isn't what the app should show now" in owner.problem
    owner.open("/account")
    assert "with your password alone" in owner.text


def test_an_app_comes_with_setting_up(chromium, instance):
    """With one, a shorter password is enough."""
    with desk.person(chromium, instance) as owner:
        owner.open(instance.setup_link())
        owner.opened("Add an authenticator app")
        secret = owner.page.locator("code.wide").inner_text()
        owner.fill("A new password", "8 chars.")
        assert owner.send("Set up and sign in") == 422
        assert "15 characters" in owner.problem
        owner.opened("Add an authenticator app")
        owner.fill("A new password", "8 chars.")
        owner.fill("What the app shows now", desk.totp(secret))
        owner.send("Set up and sign in")
        assert "Your recovery codes" in owner.text
        owner.follow("I have kept them")
        owner.sign_out()
        owner.sign_in(ADDRESS, "8 chars.", fresh_code(secret))
        assert owner.path == "/overview"


@desk.without_scripts_too
def test_sessions_are_listed_and_ended(owner, instance):
    others = [wire.Visitor(instance.url) for _ in range(3)]
    for number, other in enumerate(others):
        other.sign_in(ADDRESS, user_agent=f"Browser {number}")
        assert other.is_in
    owner.open("/account")
    assert {"Browser 0", "Browser 1", "Browser 2"} < set(owner.column())
    assert "unknown" in owner.row("this one").text, "no browser began it"
    owner.row("Browser 1").send("End")
    assert "That session is ended" in owner.notice
    assert [other.is_in for other in others] == [True, False, True]
    owner.send("End all others")
    assert "All other sessions are ended" in owner.notice
    assert not any(other.is_in for other in others)
    assert len(owner.column()) == 1


def test_people_go_from_team_to_team(shop, instance, chromium):
    other = shop.other_team("Second")
    shop.secret("In the first")
    other.secret("In the second")
    # A link of the server's administrator lets them into all of their teams.
    with desk.person(chromium, instance, ADDRESS) as owner:
        owner.open("/account")
        owner.row("Second").send("Go there")
        assert "You are in this team now" in owner.notice
        owner.follow("Secrets")
        assert owner.column() == ["In the second"]
        assert "owner · Second" in owner.text
        owner.open("/account")
        owner.row("My team").send("Go there")
        owner.follow("Secrets")
        assert owner.column() == ["In the first"]
