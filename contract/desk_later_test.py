"""What the desk shows and asks when time has passed."""

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
