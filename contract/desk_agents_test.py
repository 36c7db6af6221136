"""Agents at the desk, and what is attached to them; runs, and the ways to end one."""

import desk


@desk.without_scripts_too
def test_an_agent_comes_to_receive_what_is_attached(owner, shop):
    shop.secret("Payments", values={"PAY_KEY": "a value"})
    owner.open("/agents")
    owner.fill("New agent", "Invoices")
    owner.send("Create")
    assert "The agent is there" in owner.notice
    assert "It has no revision yet" in owner.text
    owner.fill("New revision", "2024-06")
    owner.send("Create")
    assert "The revision is there" in owner.notice
    owner.choose("Attach", "Payments (team)")
    owner.send("Attach")
    assert "The secret is attached" in owner.notice
    assert owner.row("PAY_KEY").page.get_by_text("The environment of a run of yours").is_visible()
    assert "There is no other secret to attach" in owner.text
    owner.send("Detach")
    assert "The secret is detached" in owner.notice
    assert "PAY_KEY" not in owner.text
    owner.open("/agents")
    assert owner.column() == ["Invoices"]


def test_the_preview_shows_collisions_and_likely_mistakes(owner, shop):
    agent = shop.agent("Reader")
    revision = shop.revision(agent, "one")
    for name, shared, value in [("Team's", True, '"quoted"'), ("Mine", False, "changeme")]:
        shop.attach(agent, revision, shop.secret(name, shared, {"SAME_KEY": value}))
    owner.open(f"/agents/{agent}")
    preview = owner.page.locator("h3 + .scroll tbody tr").inner_text()
    assert preview.split("\t")[:2] == ["SAME_KEY", "Mine"]
    assert "Collision with Team's: your own wins over the team's" in preview
    assert "reads like an example" in preview


@desk.without_scripts_too
def test_another_revision_goes_live(owner, shop):
    agent = shop.agent("Invoices")
    first, second = shop.revision(agent, "first"), shop.revision(agent, "second")
    shop.attach(agent, first, shop.secret("Old one"))
    shop.attach(agent, second, shop.secret("New one"))
    owner.open(f"/agents/{agent}")
    assert "Of the live revision, first" in owner.text
    owner.send("Make it live")
    assert "That revision is live now" in owner.notice
    assert "Of the live revision, second" in owner.text
    assert owner.column()[0] == "New one"


def test_of_many_revisions_the_newest_and_the_live_one_are_seen(owner, shop):
    agent = shop.agent("Often built")
    shop.attach(agent, shop.revision(agent, "the first"), shop.secret("Payments"))
    for number in range(201):
        shop.revision(agent, f"build {number}")
    owner.open(f"/agents/{agent}")
    assert "Of the live revision, the first" in owner.text
    assert owner.page.locator("h2:has-text('Revisions') ~ ul li").first.inner_text().startswith("build 200,")
    assert "These are the newest 200 of 202" in owner.text


@desk.without_scripts_too
def test_of_many_secrets_one_is_found_and_attached(owner, shop):
    agent = shop.agent("Invoices")
    shop.revision(agent, "first")
    for number in range(101):
        shop.secret(f"Service {number}")
    owner.open(f"/agents/{agent}")
    assert len(owner.page.get_by_label("Attach", exact=True).locator("option").all()) == 100
    assert "These are 100 of them" in owner.text
    owner.fill("Find a secret to attach", "nothing like it")
    owner.send("Search")
    assert "None that could be attached matches" in owner.text
    owner.fill("Find a secret to attach", "SERVICE 100")
    owner.send("Search")
    owner.choose("Attach", "Service 100 (team)")
    owner.send("Attach")
    assert "The secret is attached" in owner.notice
    assert owner.column() == ["Service 100"]
    assert "of them" not in owner.text, "as many as there is room for"


def test_few_secrets_need_no_search(owner, shop):
    agent = shop.agent("Invoices")
    shop.revision(agent, "first")
    shop.secret("Payments")
    owner.open(f"/agents/{agent}")
    assert not owner.page.get_by_label("Find a secret to attach").count()


def test_many_agents_are_turned_over(owner, shop):
    for number in range(60):
        shop.agent(f"Agent {number}")
    owner.open("/agents")
    first = owner.column()
    assert len(first) == 50
    owner.follow("More")
    assert len(owner.column()) == 10
    assert not set(first) & set(owner.column())
    owner.follow("Back")
    assert owner.column() == first


def test_an_agent_is_renamed_and_deleted(owner, shop):
    agent = shop.agent("Before")
    owner.open(f"/agents/{agent}")
    owner.fill("Name", "After")
    owner.send("Rename")
    assert owner.page.locator("h1").inner_text() == "After"
    owner.opened("Delete this agent").send("Delete it")
    assert "The agent is deleted" in owner.notice
    assert "There are none yet" in owner.text
    assert owner.open(f"/agents/{agent}") == 404


@desk.without_scripts_too
def test_a_run_is_seen_and_stopped(owner, shop):
    agent = shop.agent("Invoices")
    shop.attach(agent, shop.revision(agent, "one"), shop.secret("Payments", values={"PAY_KEY": "a value"}))
    run, token = shop.run(agent, note="the nightly one")
    owner.open("/runs")
    assert "live, until" in owner.row("the nightly one").text
    owner.follow(run.rsplit("-", 1)[1])
    assert "Nothing so far" in owner.text
    shop.received(token)
    owner.open(f"/runs/{run}")
    assert owner.column(2) == ["PAY_KEY"]
    owner.opened("Stop this run").send("Stop it")
    assert "The run is stopped" in owner.notice
    assert "stopped, " in owner.text
    assert not owner.page.get_by_text("Stop this run").count()
    owner.open("/runs")
    assert "stopped" in owner.column(3)[0]


@desk.without_scripts_too
def test_a_run_in_wrong_hands_is_revoked_and_told_what_to_change(owner, shop):
    agent = shop.agent("Invoices")
    secret = shop.secret("Payments", values={"PAY_KEY": "a value", "PAY_URL": "another"})
    shop.attach(agent, shop.revision(agent, "one"), secret)
    run, token = shop.run(agent)
    shop.received(token)
    owner.open(f"/runs/{run}")
    owner.opened("Its values may be in wrong hands").send("Revoke it, and list what to change")
    assert owner.page.locator("h1").inner_text() == "Revoked"
    [change] = owner.page.locator("main li").all()
    assert "PAY_KEY PAY_URL" in change.inner_text()
    owner.page.locator("main li a").click()
    owner.page.wait_for_url(f"**/secrets/{secret}")
    owner.open(f"/runs/{run}")
    assert "revoked" in owner.page.locator(".facts").inner_text()


def test_a_list_of_runs_follows_them_by_itself(chromium, instance, shop):
    agent = shop.agent("Invoices")
    shop.revision(agent, "one")
    shop.run(agent)
    with desk.owner(chromium, instance) as owner:
        owner.page.clock.install()
        owner.open("/runs")
        shop.run(agent, note="one more")
        assert "one more" not in owner.text
        with owner.page.expect_navigation():
            owner.page.clock.run_for(6_000)
        assert "one more" in owner.text
        # Not under the fingers of somebody who is on it with the keyboard.
        owner.page.locator("tbody a").first.focus()
        shop.run(agent, note="and another")
        owner.page.clock.run_for(20_000)
        assert "and another" not in owner.text


def test_many_runs_are_turned_over(owner, shop):
    agent, other = shop.agent("Busy"), shop.agent("Idle")
    shop.revision(agent, "one")
    for at in range(60):
        shop.run(agent, note=f"number {at}")
    owner.open(f"/runs?agent={agent}")
    assert "number 59" in owner.column()[0]
    assert len(owner.column()) == 50
    owner.follow("Older")
    assert len(owner.column()) == 10
    owner.follow("Newer")
    assert len(owner.column()) == 50
    owner.open(f"/runs?agent={other}")
    assert "There are none of this agent" in owner.text
