"""What people begin with, and what holds for a team: its name, how requests are filled in, and its end."""

import time

import desk
import wire


@desk.without_scripts_too
def test_the_first_steps_are_shown_until_they_are_done(owner, shop):
    owner.open("/")
    assert owner.path == "/overview"
    steps = owner.page.get_by_role("region", name="First steps")
    assert "(done)" not in steps.inner_text()
    owner.follow("Add a secret")
    assert owner.path == "/secrets/new"
    secret = shop.secret("Payments")
    owner.open("/overview")
    assert "Add a secret (done)" in steps.inner_text()
    owner.follow("Create an agent, and attach the secret to it")
    assert owner.path == "/agents"
    agent = shop.agent("Invoices")
    shop.attach(agent, shop.revision(agent, "first"), secret)
    owner.open("/overview")
    owner.follow("Start a run, which receives the values")
    assert owner.path == "/docs/first-run"
    _, token = shop.run(agent)
    shop.received(token)
    owner.open("/overview")
    assert steps.count() == 0
    assert "Runs started 1 in 14 days" in owner.text
    assert "Secrets delivered 1 in 14 days" in owner.text


def test_who_may_not_take_a_step_is_not_shown_it(chromium, instance, shop):
    shop.member("Ada", "member", "ada@example.com")
    with desk.person(chromium, instance, "ada@example.com") as ada:
        ada.open("/overview")
        steps = ada.page.get_by_role("region", name="First steps").inner_text()
        assert "Add a secret" in steps
        assert "agent" not in steps
        assert "Refused" not in ada.text, "what others were refused is for administrators"


@desk.without_scripts_too
def test_a_team_is_renamed(owner):
    owner.open("/settings")
    owner.page.locator("form").evaluate_all("forms => forms.forEach(form => form.noValidate = true)")
    owner.fill("The team's name", " ")
    assert owner.send("Store") == 422
    assert "1 to" in owner.problem
    owner.fill("The team's name", "Ours")
    owner.send("Store")
    assert "The settings are stored" in owner.notice
    assert "owner · Ours" in owner.text
    assert owner.page.get_by_label("The team's name").input_value() == "Ours"


@desk.without_scripts_too
def test_the_team_is_given_a_new_key_and_its_values_go_over(owner, shop):
    for number in range(30):
        shop.secret(f"Number {number}")
    owner.open("/settings")
    assert "In a file beside the server" in owner.text
    assert "age1" in owner.text
    keys = owner.page.get_by_role("table", name="The team's keys").locator("tbody tr")
    assert keys.count() == 1
    owner.page.get_by_text("Give the team a new key").click()
    owner.send("Give it a new key")
    assert "The team has a new key" in owner.notice
    assert keys.count() == 2
    for _ in range(100):
        owner.open("/settings")
        if "Everything is sealed under the newest" in owner.text:
            break
        assert owner.page.get_by_role("progressbar").count() == 1
        time.sleep(0.2)
    assert owner.page.get_by_role("progressbar").count() == 0
    assert shop.ask("GET", f"/v2/teams/{shop.team}/keys")["left"] == 0


@desk.without_scripts_too
def test_a_link_becomes_enough_and_is_not_any_more(owner, chromium, instance, shop):
    _, first = shop.asked("Mail")
    _, second = shop.asked("Weather")
    with desk.person(chromium, instance) as stranger:
        stranger.open(f"/fill/{first}")
        assert stranger.path == "/sign-in", "a control: people sign in at first"
        owner.open("/settings")
        owner.opened("Let the link be enough").send("Let the link be enough")
        assert "whoever has a request's link can fill it in" in owner.text
        stranger.open(f"/fill/{first}")
        stranger.fill("API_KEY", "a value")
        stranger.send("Fill it in")
        assert "You can close this page" in stranger.text
        stranger.open(f"/fill/{second}")
        owner.send("Have people sign in")
        assert "People sign in to fill in a secret" in owner.text
        stranger.fill("API_KEY", "a value")
        stranger.send("Fill it in")
        assert stranger.path == "/sign-in"
    owner.open("/secrets")
    assert owner.column() == ["Mail"], "it was filled in once, as the asker's own"
    assert "personal" in owner.text


@desk.without_scripts_too
def test_a_team_is_founded_left_and_deleted(owner, shop):
    shop.secret("In the first")
    owner.open("/settings")
    fold = owner.opened("Create a team")
    owner.page.locator("form").evaluate_all("forms => forms.forEach(form => form.noValidate = true)")
    fold.fill("Name", " ")
    assert fold.send("Create it") == 422
    assert owner.page.locator("#team-name").is_visible(), "what was refused stays open"
    fold.fill("Name", "Second")
    fold.send("Create it")
    assert owner.path == "/overview"
    assert "You are in this team now" in owner.notice
    assert owner.page.locator("h1").inner_text() == "Second"
    owner.open("/account")
    owner.row("My team").send("Go there")
    assert owner.page.locator("h1").inner_text() == "My team"
    owner.open("/account")
    owner.row("Second").send("Go there")
    owner.open("/settings")
    fold = owner.opened("Delete this team")
    fold.fill("Its name, to be sure", "My team")
    assert fold.send("Delete the team") == 422
    assert owner.problem == "That isn't the team's name. Nothing was deleted."
    assert owner.page.get_by_label("Its name, to be sure").is_visible(), "what was refused stays open"
    fold.fill("Its name, to be sure", "Second")
    fold.send("Delete the team")
    assert owner.path == "/sign-in"
    assert "The team is deleted" in owner.notice
    owner.fill("Email address", "owner@localhost")
    owner.fill("Password", wire.PASSWORD)
    owner.send("Sign in")
    assert owner.page.locator("h1").inner_text() == "My team"
    owner.open("/secrets")
    assert owner.column() == ["In the first"]


def test_what_happened_says_who_changed_the_team(owner):
    owner.open("/settings")
    owner.fill("The team's name", "Ours")
    owner.send("Store")
    owner.follow("Audit")
    assert "team.updated" in owner.column(2)[0]
