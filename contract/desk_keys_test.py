"""API keys and members at the desk."""

import json

import pytest

import browser
import desk
import wire


def made(owner, name, **choices):
    """Makes a key; it as it is shown."""
    owner.open("/keys")
    form = owner.opened("Make a key")
    form.fill("Name", name)
    for label, choice in choices.items():
        form.choose(label.replace("_", " "), choice)
    return form


@desk.without_scripts_too
def test_a_key_is_made_shown_once_and_revoked(owner, instance):
    form = made(owner, "deploy", Role_at_most="builder", Lasts="30")
    form.tick("runs:start")
    form.tick("secrets:write", False)
    form.send("Make the key")
    key = owner.page.locator("#key").inner_text()
    status, answer = instance.call("GET", "/v1/credentials", key=key)
    assert (status, answer) == (200, [])
    assert instance.call("POST", "/v1/credentials", {"name": "a", "values": {"A": "b"}}, key)[0] == 403
    owner.follow("I have kept it")
    row = owner.row("deploy")
    assert "secrets:read, runs:start, team:read" in row.text
    assert "as builder" in row.text
    expires = row.page.locator("tr", has_text="deploy").locator("td").nth(3).inner_text()
    assert expires.endswith("UTC")
    assert key not in owner.page.content()
    row.opened("Revoke").send("Revoke it")
    assert "The key is revoked" in owner.notice
    assert "revoked 20" in owner.row("deploy").text
    assert instance.call("GET", "/v1/credentials", key=key)[0] == 401


def test_a_key_is_for_some_agents_networks_and_a_service_user(owner, shop):
    shop.agent("Invoices")
    shop.member("Robot", "builder")
    # At most an owner: it is what its user is.
    form = made(owner, "narrow", Acts_as="Robot", Role_at_most="owner")
    form.tick("Invoices")
    form.fill("Only from these networks", "192.0.2.0/24 10.0.0.0/8")
    form.send("Make the key")
    owner.follow("I have kept it")
    told = owner.row("narrow").text
    for word in ("Robot", "as builder", "runs of one agent only", "from 192.0.2.0/24", "10.0.0.0/8"):
        assert word in told


def test_a_key_that_makes_no_sense_is_none(owner):
    form = made(owner, "nowhere", Lasts="7")
    form.fill("Only from these networks", "somewhere")
    assert form.send("Make the key") == 422
    assert "networks" in owner.problem
    assert owner.page.get_by_label("Name", exact=True).input_value() == "nowhere", "it is mended, not filled in anew"
    assert owner.page.get_by_label("Only from these networks").input_value() == "somewhere"
    assert owner.page.get_by_label("Lasts").input_value() == "7"
    assert "nowhere" not in owner.column()


def test_what_is_shown_once_can_be_copied(chromium, instance):
    with desk.owner(chromium, instance, permissions=["clipboard-read", "clipboard-write"]) as owner:
        made(owner, "copied").send("Make the key")
        buttons = owner.page.get_by_role("button", name="Copy")
        for at, shown in enumerate(["#key", "#call"]):
            # It is called otherwise once it was pressed.
            buttons.first.click()
            owner.page.get_by_role("button", name="Copied").nth(at).wait_for()
            assert owner.page.evaluate("navigator.clipboard.readText()") == owner.page.locator(shown).text_content()


def test_what_cannot_be_copied_is_selected(chromium, instance):
    with desk.owner(chromium, instance) as owner:
        owner.page.add_init_script("navigator.clipboard.writeText = () => Promise.reject()")
        made(owner, "selected").send("Make the key")
        owner.page.get_by_role("button", name="Copy").first.click()
        owner.page.get_by_role("button", name="Press Ctrl+C").wait_for()
        assert owner.page.evaluate("getSelection().toString()") == owner.page.locator("#key").text_content()


@desk.without_scripts_too
def test_a_person_is_added_invited_and_joins(owner, chromium, instance):
    owner.open("/members")
    form = owner.opened("Add a member")
    form.fill("Name", "Ada")
    form.fill("Email address", "ada@example.com")
    form.choose("Role", "builder")
    form.send("Add")
    assert "They are a member now" in owner.notice
    assert "not yet" in owner.row("ada@example.com").text
    owner.row("ada@example.com").send("Invite")
    link = owner.page.locator("#link").inner_text()
    with desk.person(chromium, instance) as ada:
        ada.set_up(link)
        assert ada.path == "/overview"
        assert "Ada · My team" in ada.text
        ada.open(link)
        assert "This link was used" in ada.problem
    owner.follow("I have sent it")
    assert "yes" in owner.row("ada@example.com").text
    assert link not in owner.page.content()


def test_an_invitation_is_withdrawn(owner, shop, instance):
    shop.member("Ada", email="ada@example.com")
    owner.open("/members")
    owner.row("ada@example.com").send("Invite")
    link = owner.page.locator("#link").inner_text()
    owner.open("/members")
    owner.row("Ada, until").send("Withdraw")
    assert "The invitation is withdrawn" in owner.notice
    assert wire.Visitor(instance.url).get(link).status == 410


@desk.without_scripts_too
def test_roles_change_and_members_go(owner, shop):
    shop.member("Ada", email="ada@example.com")
    owner.open("/members")
    form = owner.opened("Add a member")
    form.fill("Name", "Robot")
    form.choose("Role", "builder")
    form.send("Add")
    assert "never" in owner.row("Robot").text
    assert not owner.row("Robot").page.locator("tr", has_text="Robot").get_by_role("button", name="Invite").count()
    owner.row("ada@example.com").choose("Role", "manager")
    owner.row("ada@example.com").send("Change")
    assert "Their role is changed" in owner.notice
    members = shop.ask("GET", f"/v2/teams/{shop.team}/members")
    assert '"manager"' in json.dumps(members)
    owner.row("ada@example.com").opened("Remove").send("Remove them")
    assert "They are no member any more" in owner.notice
    assert "ada@example.com" not in owner.text


def test_many_members_and_keys_are_turned_over(owner, shop):
    for number in range(119):
        shop.member(f"Member {number}", email=f"{number}@example.com")
        shop.api_key(f"key {number}")
    for path in ("/members", "/keys"):
        owner.open(path)
        seen = owner.column()
        # As light as any page.
        assert browser.weight(owner.page) < 150 * 1024
        for _ in range(2):
            owner.follow("More")
            seen += owner.column()
        assert not owner.page.get_by_role("link", name="More").count()
        assert len(set(seen)) == 120
        owner.follow("Back")
        assert owner.column() == seen[50:100]


def test_a_team_keeps_an_owner(owner):
    owner.open("/members")
    assert owner.row("owner@localhost").opened("Leave").send("Leave the team") == 422
    assert "owner" in owner.problem


@pytest.mark.parametrize(("name", "email"), [("Ada", "ada@"), ("Ada", "a b@example.com")])
def test_an_address_that_is_none_is_told(chromium, instance, name, email):
    with desk.owner(chromium, instance) as owner:
        owner.open("/members")
        form = owner.opened("Add a member")
        owner.page.locator("form").evaluate_all("forms => forms.forEach(form => form.noValidate = true)")
        form.fill("Name", name)
        form.fill("Email address", email)
        assert form.send("Add") == 422
        assert "The address must be" in owner.problem
        assert owner.page.get_by_label("Name", exact=True).input_value() == name
        assert owner.page.get_by_label("Email address").input_value() == email
