"""The audit page in a real browser: what was done is found by each filter and by
none that it doesn't fit, and what is found can be taken away as a file."""

import base64
import csv
import datetime
import io
import json
import re
import subprocess
import time
import uuid
from contextlib import contextmanager

import pytest

import browser
import tree
from instance import Instance

PASSWORD = "correct horse battery staple"

#: A day, as the page's fields take it.
TODAY = datetime.datetime.now(datetime.UTC).date()
LONG_AGO, SOON = "2020-01-01", (TODAY + datetime.timedelta(days=2)).isoformat()


class Team:
    """An instance in which an owner and a member did things, and a program of the owner's."""

    def __init__(self, instance):
        self.instance, self.team = instance, f"/v2/teams/{instance.team}"
        self.secret = self.done(
            "POST", f"{self.team}/credentials", {"name": "=Stripe", "values": {"K": "v"}, "shared": True}
        )
        self.other = self.done("POST", f"{self.team}/credentials", {"name": "Mail, daily", "values": {"K": "v"}})
        self.done("PATCH", f"/v2/credentials/{self.secret['id']}", {"name": "=Stripe 2"})
        self.done("DELETE", f"/v2/credentials/{self.other['id']}")
        self.agent = self.done("POST", f"{self.team}/agents", {"name": "courier"})["agent"]
        member = {"email": "grace@example.com", "name": "Grace <Hopper>", "role": "member"}
        self.member = self.done("POST", f"{self.team}/members", member)["member"]
        wish = {"name": "+laptop", "user_id": self.member["id"]}
        link = self.done("POST", f"{self.team}/key-links", wish)["link"]
        status, made = instance.call("POST", "/v2/key-links/claim", key=link)
        assert status == 201, made
        self.member_key = made["api_key"]
        self.own = self.done(
            "POST", f"{self.team}/credentials", {"name": "Grace's", "values": {"K": "v"}}, self.member_key
        )

    def done(self, method, path, body=None, key=None):
        status, answer = self.instance.call(method, path, body, key)
        assert status < 300, (path, answer)
        return answer

    def setup_link(self, email):
        """A link by which somebody sets up how they sign in."""
        data = ["--data-dir", self.instance.place / "data", "--public-url", self.instance.url]
        made = self.instance.command("setup-link", *data, "--email", email)
        return subprocess.run(made, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def team(chromium):
    with Instance() as running:
        made = Team(running)
        # Signed in once: a link works once.
        made.states = {}
        for email in ["owner@localhost", "grace@example.com"]:
            with chromium.page() as page:
                page.goto(made.setup_link(email))
                page.get_by_label("A new password", exact=True).fill(PASSWORD)
                page.get_by_role("button", name="Set up and sign in").click()
                page.wait_for_url("**/overview")
                made.states[email] = page.context.storage_state()
        yield made


@contextmanager
def audit(chromium, team, email="owner@localhost", **options):
    """Somebody before the audit page."""
    with chromium.page(storage_state=team.states[email], accept_downloads=True, **options) as page:
        page.goto(f"{team.instance.url}/audit")
        yield page


def rows(page):
    """What stands in the list: a text for each event."""
    return [row.inner_text() for row in page.locator("table.events tbody tr").all()]


def search(page, **fields):
    """Fills in the form as it is when the page is opened anew, and sends it."""
    page.goto(re.match(r"https?://[^/]+", page.url)[0] + "/audit")
    for label, value in fields.items():
        field = page.get_by_label({"since": "From", "until": "To", "secret": "Secret or id"}.get(label, label.title()))
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(label=value)
        else:
            field.fill(value)
    with page.expect_navigation():
        page.get_by_role("button", name="Search").click()
    return rows(page)


def test_what_was_done_stands_there_in_plain_words(chromium, team):
    with audit(chromium, team) as page:
        told = rows(page)
        assert "signed in" in told[0], "the newest first"
        assert "secret.created" not in told[0]
        created = next(row for row in told if "created the secret =Stripe 2" in row)
        assert "owner" in created.lower()
        assert "with the key “first key”" in created
        assert "secret.created" in created
        assert any("Grace <Hopper>" in row and "with the key “+laptop”" in row for row in told), told
        assert any("deleted the secret Mail, daily" in row for row in told), "a deleted one keeps its name"
        assert not any("Grace's" in row for row in told), "what others call their own is theirs"
        page.get_by_role("link", name="=Stripe 2").first.click()
        page.wait_for_url(f"**/secrets/{team.secret['id']}")
        assert page.complaints == []


def test_each_filter_finds_what_it_is_for_and_nothing_else(chromium, team):
    with audit(chromium, team) as page:
        for fields, has, lacks in [
            ({"what": "Secrets"}, "secret.updated", "agent.created"),
            ({"what": "Agents"}, "agent.created", "secret.created"),
            ({"what": "API keys"}, "key_link.claimed", "member.added"),
            ({"what": "Signing in"}, "session.started", "secret.created"),
            ({"who": "Grace <Hopper>"}, "secret.created", "secret.deleted"),
            ({"secret": "stripe"}, "secret.updated", "secret.deleted"),
            ({"secret": "mail"}, "secret.deleted", "secret.updated"),
            ({"secret": team.other["id"]}, "secret.deleted", "secret.updated"),
            ({"secret": team.member["id"]}, "member.added", "agent.created"),
            ({"secret": team.agent["id"].upper()}, "agent.created", "secret.created"),
            ({"since": LONG_AGO, "until": SOON}, "instance.created", "no such thing"),
        ]:
            told = "\n".join(search(page, **fields))
            assert has in told, (fields, told)
            assert lacks not in told, (fields, told)
        both = search(page, what="Secrets", who="Grace <Hopper>")
        assert len(both) == 1, both


def test_what_no_event_fits_is_told(chromium, team):
    """The controls of the filters: each is asked for what there isn't."""
    with audit(chromium, team) as page:
        for fields in [
            {"what": "Tampering"},
            {"what": "Agents", "who": "Grace <Hopper>"},
            {"secret": "no such name"},
            {"secret": str(uuid.uuid4())},
            {"since": SOON},
            {"until": LONG_AGO},
        ]:
            assert search(page, **fields) == [], fields
            assert "Nothing that matches" in page.inner_text("main"), fields
        answer = page.goto(f"{team.instance.url}/audit?since=yesterday")
        assert answer.status == 422
        assert page.goto(f"{team.instance.url}/audit?group=songs").status == 404
        assert page.goto(f"{team.instance.url}/audit/export?format=xls").status == 404


def taken(page, name):
    """The file behind a link, as text, and what it is called."""
    with page.expect_download() as download:
        page.get_by_role("link", name=name, exact=True).click()
    return download.value.path().read_text("utf-8"), download.value.suggested_filename


def test_what_is_found_can_be_taken_away(chromium, team):
    with audit(chromium, team) as page:
        for what, expected in [("Everything", None), ("Secrets", "secret.")]:
            shown = search(page, what=what)
            text, name = taken(page, "JSON Lines")
            lines = [json.loads(line) for line in text.splitlines()]
            assert re.fullmatch(r"strongroom-audit-\d{4}-\d\d-\d\d\.jsonl", name), name
            assert len(lines) == len(shown)
            assert all(line["action"].startswith(expected or "") for line in lines)
            text, name = taken(page, "CSV")
            assert name.endswith(".csv")
            table = list(csv.DictReader(io.StringIO(text, newline="")))
            assert [row["sequence"] for row in table] == [str(line["sequence"]) for line in lines]
            assert [row["object_id"] for row in table] == [line["object_id"] or "" for line in lines]
            created = next(row for row in table if row["object_id"] == team.secret["id"])
            assert created["object"] == "'=Stripe 2", "no spreadsheet takes it for a formula"
            cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
            assert not [cell for cell in cells if cell[:1] in tuple("=+-@")], "nor anything else"
        by_name = {line["object_id"]: line["object"] for line in lines}
        assert by_name[team.secret["id"]] == "=Stripe 2", "JSON has it as it is"
        assert by_name[team.other["id"]] == "Mail, daily"
        assert page.complaints == []


def proofs(page):
    """Opens what proves the record; its newest head and its verifier key."""
    page.get_by_role("link", name="What proves it").click()
    page.wait_for_url("**/audit/proof")
    return page.locator("#head").inner_text().strip() + "\n", page.locator("#keys").inner_text().strip()


def sealed(team, sequence):
    """Waits until an event is a leaf, which takes a second; its proof."""
    for _ in range(100):
        status, proof = team.instance.call("GET", f"{team.team}/events/{sequence}/proof")
        if status == 200:
            return proof
        assert status == 409, proof
        time.sleep(0.1)
    raise AssertionError(f"{sequence} wasn't sealed")


def test_a_file_with_proofs_is_believed_without_this_server(chromium, team):
    with audit(chromium, team) as page:
        shown = search(page, what="Secrets")
        _, newest = team.instance.call("GET", f"{team.team}/events?limit=1")
        sealed(team, newest["events"][0]["sequence"])
        text, name = taken(page, "with proofs")
        assert re.fullmatch(r"strongroom-audit-\d{4}-\d\d-\d\d\.proven\.jsonl", name), name
        _, key = proofs(page)
        found, skipped = tree.events(text, key)
        assert len(found) == len(shown)
        assert skipped > 0, "all that wasn't asked for"
        edited = text.replace("secret.created", "secret.deleted", 1)
        assert edited != text
        with pytest.raises(AssertionError, match="not the events"):
            tree.events(edited, key)
        assert page.complaints == []


def test_an_event_is_proven_and_its_proof_can_be_taken_away(chromium, team):
    with audit(chromium, team) as page:
        _, key = proofs(page)
        _, listed = team.instance.call("GET", f"{team.team}/events?action=secret.created&limit=1")
        sealed(team, listed["events"][0]["sequence"])
        search(page, what="Secrets")
        page.locator("tr", has_text="secret.created").first.get_by_role("link", name="Proof").click()
        page.wait_for_url("**/audit/proof/*")
        assert "It is leaf" in page.get_by_role("status").inner_text()
        text, name = taken(page, "Download it as a file")
        proof = json.loads(text)
        assert re.fullmatch(r"strongroom-event-\d+\.json", name), name
        _, size, root = tree.head(proof["checkpoint"], key)
        siblings = [base64.b64decode(sibling) for sibling in proof["proof"]]
        assert tree.root_of(proof["leaf"], tree.leaf(proof["line"]), size, siblings) == root
        assert json.loads(proof["line"])["action"] == "secret.created"
        assert page.goto(f"{team.instance.url}/audit/proof/999999").status == 404
        assert page.goto(f"{team.instance.url}/audit/proof/stripe").status == 404


def test_a_head_that_was_kept_is_compared(chromium, team):
    def compared(page, head):
        page.get_by_label("The head", exact=True).fill(head)
        with page.expect_navigation():
            page.get_by_role("button", name="Compare").click()
        return page.inner_text("main")

    with audit(chromium, team) as page:
        kept, key = proofs(page)
        _, size, _ = tree.head(kept, key)
        team.done("POST", f"{team.team}/credentials", {"name": "later", "values": {}})
        _, listed = team.instance.call("GET", f"{team.team}/events?limit=1")
        sealed(team, listed["events"][0]["sequence"])
        assert f"its {size} events are as they were" in compared(page, kept)
        newest = page.locator("#head").inner_text()
        assert "That is the newest head" in compared(page, newest)
        assert "isn't signed by this server's key" in compared(page, kept.replace(str(size), str(size + 1), 1))
        assert "isn't a signed head" in compared(page, "a head")
        text, name = taken(page, "Download it")
        assert tree.head(text, key)[1] >= size + 1
        assert re.fullmatch(r"strongroom-head-\d+\.txt", name), name
        assert page.complaints == []
        browser.picture(page, "audit-proof-compared")


def test_members_see_and_take_away_what_they_did_themselves(chromium, team):
    with audit(chromium, team, "grace@example.com") as page:
        assert "What you did yourself" in page.inner_text("main")
        assert page.get_by_label("Who", exact=True).count() == 0
        told = rows(page)
        assert any("created the secret Grace's" in row for row in told), told
        assert all("Grace <Hopper>" in row for row in told), told
        owner = f"{team.instance.url}/audit?person={team.instance.user}"
        page.goto(owner)
        assert rows(page) == [], "also when they ask for somebody else"
        page.goto(f"{team.instance.url}/audit")
        text, _ = taken(page, "JSON Lines")
        assert {json.loads(line)["user_id"] for line in text.splitlines()} == {team.member["id"]}


def test_who_was_refused_what_stands_there(chromium, team):
    """By the API and on the pages, each once, however often it was tried."""
    for _ in range(3):
        status, _ = team.instance.call("DELETE", f"/v2/credentials/{team.secret['id']}", key=team.member_key)
        assert status == 403
    with audit(chromium, team, "grace@example.com") as page:
        assert page.goto(f"{team.instance.url}/secrets/{team.other['id']}").status == 404, "not there isn't refused"
        page.goto(f"{team.instance.url}/agents/{team.agent['id']}")
        # Their page has no such form, so they make one of another.
        made = "(form, path) => { form.action = path; form.submit(); }"
        with page.expect_navigation() as leads:
            page.locator("form[action='/sign-out']").evaluate(made, f"/agents/{team.agent['id']}/delete")
        assert leads.value.status == 403
        own = search(page, what="Refusals")
    with audit(chromium, team) as page:
        told = search(page, what="Refusals")
        assert told == own, "they see it, too"
        assert len(told) == 2, told
        assert "was refused deleteAgent: their role doesn't reach courier" in told[0]
        assert "on these pages" in told[0]
        assert "was refused deleteSecret: their role doesn't reach =Stripe 2" in told[1]
        assert "with the key “+laptop”" in told[1]
        assert all("Grace <Hopper>" in row for row in told)


def test_nobody_takes_anything_away_who_is_not_signed_in(chromium, team):
    with chromium.page() as page:
        for path in ["/audit", "/audit/export?format=csv"]:
            page.goto(team.instance.url + path)
            assert "/sign-in" in page.url, path


@pytest.mark.parametrize("screen", browser.SCREENS)
@pytest.mark.parametrize("part", ["audit", "audit/proof", "audit/proof/1"])
def test_everybody_can_read_it_on_every_screen(chromium, team, part, screen):
    with audit(chromium, team, **browser.SCREENS[screen]) as page:
        page.goto(f"{team.instance.url}/{part}")
        assert page.complaints == []
        assert browser.weight(page) <= 150 * 1024
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{wide} pixels too wide"
        assert browser.barriers(page) == []
        browser.picture(page, f"{part.replace('/', '-')}-{screen}")


def test_it_does_its_work_without_a_script(chromium, team):
    with audit(chromium, team, java_script_enabled=False) as page:
        assert rows(page)
        page.get_by_label("What", exact=True).select_option(label="Agents")
        page.get_by_role("button", name="Search").click()
        page.wait_for_url("**/audit?group=agents*")
        assert "agent.created" in rows(page)[0]


def test_an_export_goes_on_beyond_a_page_and_a_piece(chromium, team):
    for _ in range(600):
        team.done("POST", f"{team.team}/credentials", {"name": "many", "values": {}})
    with audit(chromium, team) as page:
        assert len(search(page, what="Secrets")) == 50
        text, _ = taken(page, "JSON Lines")
        places = [json.loads(line)["sequence"] for line in text.splitlines()]
        assert len(places) >= 604
        assert places == sorted(set(places), reverse=True), "each once, the newest first"
        seen = rows(page)
        while page.get_by_role("link", name="Older").count():
            with page.expect_navigation():
                page.get_by_role("link", name="Older").click()
            seen += rows(page)
        assert len(seen) == len(places), "and so do the pages"
        with page.expect_navigation():
            page.get_by_role("link", name="The newest").click()
        assert len(rows(page)) == 50
