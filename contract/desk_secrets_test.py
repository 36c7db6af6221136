"""Secrets at the desk: stored, found, changed, taken back, and never shown."""

import re

import pytest

import desk

#: Stands in every value that is filled in here, and may stand on no page.
HIDDEN = "hidden-6f1e"


def add(person, name):
    person.open("/secrets/new")
    person.fill("Name", name)


def fill_row(person, at, key, value):
    row = person.within(person.page.locator(".row").nth(at))
    row.fill("Name of a variable", key)
    row.fill("Its value", value)


def variables(person):
    """The names of the secret's variables."""
    return person.column(0)


@desk.without_scripts_too
def test_one_is_stored_from_rows(owner):
    add(owner, "Weather")
    owner.fill("Service", "weather.example")
    fill_row(owner, 0, "WEATHER_KEY", HIDDEN)
    fill_row(owner, 3, "WEATHER_URL", f"https://{HIDDEN}")
    owner.tick("Share it with the team")
    owner.send("Store it")
    assert "The secret is stored" in owner.notice
    assert variables(owner) == ["WEATHER_KEY", "WEATHER_URL"]
    for told in ("Weather", "weather.example", "team", "version 1"):
        assert told in owner.text
    assert HIDDEN not in owner.page.content()
    owner.open("/secrets")
    assert owner.column(0) == ["Weather\nweather.example"]


@desk.without_scripts_too
def test_one_is_stored_from_a_pasted_file(owner):
    add(owner, "Pasted")
    fold = owner.opened("Or paste a .env file")
    fold.fill("Lines of NAME=value", f"# ours\nexport FIRST={HIDDEN}\n\nSECOND='{HIDDEN} two'\n")
    owner.send("Store it")
    assert variables(owner) == ["FIRST", "SECOND"]
    assert "personal" in owner.text


@desk.without_scripts_too
def test_a_known_service_has_names_for_its_variables(owner):
    owner.open("/secrets/new")
    owner.choose("For a known service", "Stripe")
    owner.send("Use its names")
    assert owner.page.get_by_label("Name", exact=True).input_value() == "Stripe"
    assert owner.page.get_by_label("Service", exact=True).input_value() == "stripe"
    names = owner.page.get_by_label("Name of a variable")
    assert names.first.input_value() == "STRIPE_API_KEY"
    owner.page.get_by_label("Its value").first.fill(HIDDEN)
    # Those that aren't needed stay empty.
    for other in names.all()[1:]:
        other.fill("")
    owner.send("Store it")
    assert variables(owner) == ["STRIPE_API_KEY"]


def test_rows_are_added_as_they_are_needed(chromium, instance):
    with desk.owner(chromium, instance) as owner:
        add(owner, "Many")
        for at in range(7):
            if at >= 4:
                owner.page.get_by_role("button", name="One more").click()
                assert owner.page.evaluate("document.activeElement.name") == "key"
            fill_row(owner, at, f"KEY_{at}", HIDDEN)
        owner.send("Store it")
        assert variables(owner) == [f"KEY_{at}" for at in range(7)]


@pytest.mark.parametrize(
    ("filled", "told"),
    [
        (("lower", HIDDEN, ""), "The name in row 1"),
        (("GOOD", "", ""), "The value of GOOD"),
        (("", "", f"not a line of it {HIDDEN}"), "In what you pasted, line 1"),
        (("SAME", HIDDEN, f"SAME={HIDDEN}"), "In what you filled in"),
        (("", "", ""), "A secret has at least one value"),
    ],
)
def test_a_mistake_is_told_and_no_value_sent_back(chromium, instance, filled, told):
    key, value, pasted = filled
    with desk.owner(chromium, instance, java_script_enabled=False) as owner:
        add(owner, "Mistaken")
        # Browsers of today find some mistakes by themselves.
        owner.page.locator("form").evaluate_all("forms => forms.forEach(form => form.noValidate = true)")
        fill_row(owner, 0, key, value)
        owner.opened("Or paste").fill("Lines of NAME=value", pasted)
        assert owner.send("Store it") == 422
        assert told in owner.problem
        assert owner.page.get_by_label("Name", exact=True).input_value() == "Mistaken"
        assert HIDDEN not in owner.page.content()
        owner.open("/secrets")
        assert "There are none yet" in owner.text


def test_they_are_searched_and_told_apart(owner, shop):
    for name, shared in [("Red one", True), ("Red two", False), ("Blue", True)]:
        shop.secret(name, shared)
    owner.open("/secrets")
    assert len(owner.column()) == 3
    owner.follow("Team")
    assert set(owner.column()) == {"Red one", "Blue"}
    owner.follow("Personal")
    assert owner.column() == ["Red two"]
    owner.follow("All")
    owner.fill("Search", "red")
    owner.send("Search")
    assert set(owner.column()) == {"Red one", "Red two"}
    owner.follow("Team")
    assert owner.column() == ["Red one"], "the search goes on in another tab"
    owner.fill("Search", "nothing like it")
    owner.send("Search")
    assert "None of those" in owner.text


def test_many_are_turned_over(owner, shop):
    names = {f"Secret {at:03}" for at in range(120)}
    for name in sorted(names):
        shop.secret(name)
    owner.open("/secrets")
    seen = owner.column()
    for _ in range(2):
        owner.follow("More")
        seen += owner.column()
    assert len(seen) == 120
    assert set(seen) == names
    assert not owner.page.get_by_role("link", name="More").count()
    first = owner.follow("From the beginning")
    assert (first, owner.column()) == (200, seen[:50])


@desk.without_scripts_too
def test_values_are_changed_renamed_removed_and_added(owner, shop):
    secret = shop.secret("Changing", values={"STAYS": HIDDEN, "NEW_VALUE": HIDDEN, "OLD_NAME": HIDDEN, "GONE": HIDDEN})
    owner.open(f"/secrets/{secret}")
    owner.fill("New value of NEW_VALUE", f"{HIDDEN} newer\nof two lines")
    owner.fill("New name of OLD_NAME", "NEW_NAME")
    owner.tick("Remove GONE")
    owner.opened("Add variables")
    fill_row(owner, 0, "ADDED", HIDDEN)
    owner.send("Store the change")
    assert "The change is stored" in owner.notice
    assert set(variables(owner)) == {"STAYS", "NEW_VALUE", "NEW_NAME", "ADDED"}
    assert "version 2" in owner.text
    assert HIDDEN not in owner.page.content()


def test_what_a_change_stored_is_what_runs_receive(owner, shop):
    agent = shop.agent("Reader")
    secret = shop.secret("Exact", values={"LINES": "old"})
    shop.attach(agent, shop.revision(agent, "one"), secret)
    value = 'first line\n  second = "quoted" & <b>é🔑</b> \\ %41 + end '
    owner.open(f"/secrets/{secret}")
    owner.fill("New value of LINES", value)
    owner.send("Store the change")
    _, token = shop.run(agent)
    assert shop.received(token)["environment"] == {"LINES": value}


@desk.without_scripts_too
def test_an_earlier_version_comes_back(owner, shop):
    secret = shop.secret("Rolled", values={"FIRST": HIDDEN})
    owner.open(f"/secrets/{secret}")
    owner.fill("New name of FIRST", "SECOND")
    owner.send("Store the change")
    owner.send("Go back to it")
    assert "The earlier version is current again" in owner.notice
    assert variables(owner) == ["FIRST"]
    assert "version 3" in owner.text


def test_its_settings_are_changed(owner, shop):
    secret = shop.secret("Before", shared=False)
    owner.open(f"/secrets/{secret}")
    owner.fill("Name", "After")
    owner.fill("Service", "stripe")
    owner.tick("Shared with the team")
    owner.send("Store")
    assert owner.page.title().startswith("After")
    owner.open("/secrets?whose=team")
    assert owner.column() == ["After\nStripe"]
    owner.follow("After")
    owner.fill("Service", "")
    owner.tick("Shared with the team", False)
    owner.send("Store")
    owner.open("/secrets?whose=personal")
    assert owner.column() == ["After"]


@desk.without_scripts_too
def test_it_is_deleted_and_brought_back(owner, shop):
    secret = shop.secret("Here and gone")
    owner.open(f"/secrets/{secret}")
    owner.opened("Delete this secret").send("Delete it")
    assert "The secret is deleted" in owner.notice
    assert owner.path == "/secrets"
    assert "Here and gone" not in owner.text
    owner.send("Bring it back")
    assert "The secret is back" in owner.notice
    assert variables(owner) == ["API_KEY"]


def test_a_search_goes_on_until_it_has_found_something(owner, shop):
    for number in range(600):
        shop.secret(f"One of many {number}")
    shop.secret("Needle")
    owner.open("/secrets")
    owner.page.fill("#search", "needle")
    with owner.page.expect_navigation(url=re.compile("after=")):
        owner.page.click("form[role=search] button")
    assert "Needle" in owner.text
    owner.page.go_back()
    assert owner.path == "/secrets"
    assert "after=" not in owner.page.url


@desk.without_scripts_too
def test_what_is_deleted_is_listed_until_it_is_purged(owner, shop):
    secret = shop.secret("Deleted and found")
    shop.ask("DELETE", f"/v2/credentials/{secret}")
    owner.open("/secrets")
    owner.follow("Deleted")
    row = owner.row("Deleted and found")
    assert "API_KEY" in row.text
    row.send("Bring it back")
    assert "The secret is back" in owner.notice
    assert owner.path == f"/secrets/{secret}"
    owner.open("/secrets?whose=deleted")
    assert "Deleted and found" not in owner.text


def test_none_is_changed_under_ones_hands(chromium, instance, shop):
    """Two people have the same page open: what the first removed, the second doesn't bring back."""
    secret = shop.secret("Ours", values={"ONE": "1", "TWO": "2"})
    with desk.owner(chromium, instance, java_script_enabled=False) as owner:
        owner.open(f"/secrets/{secret}")
        shop.ask("PATCH", f"/v2/credentials/{secret}", {"remove_keys": ["ONE"]})
        owner.fill("New name of ONE", "THREE")
        assert owner.send("Store the change") == 422
        assert variables(owner) == ["TWO"], owner.problem


@pytest.mark.parametrize("form", ["settings", "values"])
def test_what_another_page_stored_is_not_put_back(chromium, instance, shop, form):
    """A page that was opened before tells so, and stores nothing over what came since."""
    secret = shop.secret("Two pages", values={"ONE": HIDDEN})
    with desk.owner(chromium, instance, java_script_enabled=False) as owner:
        owner.open(f"/secrets/{secret}")
        shop.ask("PATCH", f"/v2/credentials/{secret}", {"service_slug": "openai"})
        if form == "settings":
            owner.fill("Name", "Renamed")
            assert owner.send("Store") == 422
        else:
            owner.fill("New value of ONE", f"{HIDDEN} two")
            assert owner.send("Store the change") == 422
        assert "Somebody changed it meanwhile" in owner.problem
        assert "OpenAI" in owner.text, "it is shown as it is now"
        assert "version 1" in owner.text
        assert HIDDEN not in owner.page.content()
        owner.fill("Name", "Renamed")
        assert owner.send("Store") == 200
        assert owner.page.title().startswith("Renamed"), "the control"
        assert "OpenAI" in owner.text


def test_a_variable_is_not_added_over_one_that_is_renamed(owner, shop):
    secret = shop.secret("Twice", values={"OLD": HIDDEN, "OTHER": HIDDEN})
    owner.open(f"/secrets/{secret}")
    owner.fill("New name of OLD", "NEW")
    owner.opened("Add variables")
    fill_row(owner, 0, "NEW", HIDDEN)
    assert owner.send("Store the change") == 422
    assert "NEW is the new name of another variable" in owner.problem
    assert variables(owner) == ["OLD", "OTHER"]


def test_settings_that_are_to_be_mended_stay_filled_in(chromium, instance, shop):
    secret = shop.secret("Mended", values={"ONE": HIDDEN})
    with desk.owner(chromium, instance, java_script_enabled=False) as owner:
        owner.open(f"/secrets/{secret}")
        owner.page.locator("form").evaluate_all("forms => forms.forEach(form => form.noValidate = true)")
        owner.fill("Name", " ")
        owner.fill("Service", "typed-service")
        owner.tick("Shared with the team", False)
        assert owner.send("Store") == 422
        assert owner.page.get_by_label("Service", exact=True).input_value() == "typed-service"
        assert not owner.page.get_by_label("Shared with the team").is_checked()
        # What came meanwhile isn't put back by what is mended only now.
        shop.ask("PATCH", f"/v2/credentials/{secret}", {"service_slug": "openai"})
        owner.fill("Name", "Mended now")
        assert owner.send("Store") == 422
        assert "Somebody changed it meanwhile" in owner.problem
        assert "OpenAI" in owner.text


def test_a_button_that_needs_a_script_is_not_there_without(chromium, instance):
    for has_scripts in (True, False):
        with desk.owner(chromium, instance, java_script_enabled=has_scripts) as owner:
            owner.open("/secrets/new")
            assert owner.page.get_by_role("button", name="One more").count() == has_scripts


@desk.without_scripts_too
def test_a_long_name_breaks(owner, shop):
    secret = shop.secret("W" * 100)
    for path in (f"/secrets/{secret}", "/audit", "/secrets"):
        owner.open(path)
        assert owner.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
