"""What the desk shows and asks when time has passed."""

import time

import pytest

import browser
import desk
import wire
from instance import Later
from stock import Shop


@pytest.fixture
def instance():
    with Later() as running:
        yield running


def asks(person):
    return person.page.get_by_role("group", name="Is it you?").count() == 1


@desk.without_scripts_too
def test_who_signed_in_a_while_ago_shows_that_it_is_them(owner, instance, shop):
    shop.member("Ada", "member", "ada@example.com")
    owner.open("/keys")
    owner.opened("Make a key")
    assert not asks(owner), "a newcomer's first key is made without"
    instance.put_forward(minutes=11)
    owner.open("/keys")
    form = owner.opened("Make a key")
    assert asks(owner)
    form.fill("Name", "laptop")
    form.fill("Password", "not the one")
    assert form.send("Make the key") == 422
    assert "The password or the code is wrong" in owner.problem
    assert owner.page.get_by_label("Name", exact=True).input_value() == "laptop"
    assert owner.page.get_by_label("Password").input_value() == "", "it isn't sent back"
    assert "laptop" not in owner.column()
    form.fill("Password", wire.PASSWORD)
    assert form.send("Make the key") == 200
    key = owner.page.locator("#key").inner_text()
    assert instance.call("GET", "/v1/credentials", key=key)[0] == 200

    owner.open("/members")
    assert owner.row("Ada").send("Invite") == 422
    assert "type your password once more" in owner.problem
    owner.fill("Password", "not the one")
    assert owner.send("Invite") == 422
    owner.fill("Password", wire.PASSWORD)
    assert owner.send("Invite") == 200
    assert "/invitation/srl_" in owner.page.locator("#link").inner_text()

    owner.open("/members")
    row = owner.row("ada@example.com")
    row.choose("Role", "owner")
    assert row.send("Change") == 422
    assert "type your password once more" in owner.problem
    owner.fill("Password", wire.PASSWORD)
    owner.send("Change")
    row.choose("Role", "member")
    row.send("Change")
    assert "is changed" in owner.notice, "to be less nobody has to show that it is them"


def test_what_carries_no_password_makes_nothing(owner, instance, shop):
    """A form without the field, as a page from before would send it, or who has the cookie alone."""
    owner.open("/keys")
    form = owner.opened("Make a key")
    form.fill("Name", "laptop")
    instance.put_forward(minutes=11)
    assert form.send("Make the key") == 422
    assert "type your password once more" in owner.problem
    assert asks(owner)
    assert browser.barriers(owner.page) == []
    browser.picture(owner.page, "keys-is-it-you")
    keys = instance.call("GET", f"/v2/teams/{instance.team}/api-keys")[1]["api_keys"]
    assert [key["name"] for key in keys] == ["first key"]
    shop.member("Ada", "member", "ada@example.com")
    owner.open("/members")
    assert owner.row("Ada").send("Invite") == 422
    assert asks(owner)
    assert browser.barriers(owner.page) == []
    browser.picture(owner.page, "invitation-is-it-you")
    owner.follow("Back to the members")
    assert "Open invitations" not in owner.text


def test_what_is_ones_own_is_shared_by_who_shows_that_it_is_them(owner, instance, shop):
    secret = shop.secret("Mine", shared=False)
    instance.put_forward(minutes=11)
    owner.open(f"/secrets/{secret}")
    assert asks(owner)
    browser.picture(owner.page, "secret-is-it-you")
    owner.fill("Name", "Still mine")
    owner.send("Store")
    assert "is stored" in owner.notice, "another name is nothing that anybody receives"
    owner.tick("Shared with the team")
    assert owner.send("Store") == 422
    assert "type your password once more" in owner.problem
    owner.tick("Shared with the team")
    owner.fill("Password", wire.PASSWORD)
    owner.send("Store")
    assert not asks(owner), "nothing is left to share"


def test_a_password_is_what_was_chosen_and_a_code_is_good_for_once(chromium, instance):
    with desk.person(chromium, instance) as somebody:
        # Spaces are as good as other letters.
        somebody.set_up(instance.setup_link(), password=" correct horse battery ")
        somebody.open("/account")
        form = somebody.opened("Add an authenticator app")
        app = somebody.page.locator("code.wide").inner_text()
        form.fill("What the app shows now", desk.totp(app))
        form.fill("Your password", " correct horse battery ")
        assert form.send("Add the app") == 200
        instance.put_forward(minutes=11)
        code = desk.totp(app, time.time() + 11 * 60)
        for name, status, told in [("first", 200, "Your new API key"), ("second", 422, "the code was used already")]:
            somebody.open("/keys")
            form = somebody.opened("Make a key")
            form.fill("Name", name)
            form.fill("Password", " correct horse battery ")
            form.fill("Code", code)
            assert form.send("Make the key") == status
            assert told in somebody.text


def test_stale_secrets_are_named(chromium, instance):
    shop = Shop(instance)
    for name in ("Payments", "Mail"):
        shop.secret(name)
    instance.put_forward(days=100)
    shop.secret("Search")
    for screen, looks in browser.SCREENS.items():
        with desk.owner(chromium, instance, **looks) as owner:
            assert "2 of your secrets haven't" in owner.text
            assert browser.barriers(owner.page) == []
            browser.picture(owner.page, f"overview-stale-{screen}")
            owner.follow("Payments")
            assert owner.path.startswith("/secrets/")
