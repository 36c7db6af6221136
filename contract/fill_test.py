"""A program asks for a secret and a person fills it in, in a real browser: the
person sees who asks, for what and where it goes, and what they type goes nowhere
but into the agent's next run."""

import contextlib
import http.client
import re
import secrets
import subprocess
import urllib.parse

import pytest

import browser
from instance import Instance, call

PASSWORD = "correct horse battery staple"
OWNER = "owner@localhost"
NOTE = "to send the invoices of November"
#: Whatever shows it as anything but text has a hole.
HOSTILE = "</h1></title><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;\u202etxt.exe {{7*7}}"


@pytest.fixture(scope="module")
def instance():
    with Instance() as running:
        yield running


def chosen(page, link):
    """Somebody comes to sign in by a link."""
    page.goto(link)
    page.fill("#password", PASSWORD)
    page.click("text=Set up and sign in")
    page.wait_for_url("**/overview")


@pytest.fixture(scope="module", autouse=True)
def owner(instance, chromium):
    """The owner signs in somewhere once, so that they can."""
    data = ["--data-dir", instance.place / "data"]
    link = instance.command("setup-link", *data, "--public-url", instance.url)
    link = subprocess.run(link, env={"PATH": "/usr/bin:/bin"}, check=True, capture_output=True, text=True)
    with chromium.page() as page:
        chosen(page, link.stdout.strip())
    return OWNER


@pytest.fixture(scope="module")
def member(instance, chromium, owner):
    """Somebody without the role for it."""
    with chromium.page() as page:
        signed_in(page, instance.url + "/members", owner)
        page.click("summary:has-text('Add')")
        page.fill("[name=email]", "ben@example.com")
        page.fill("[name=name]", "Ben")
        page.click("main button[type=submit]:has-text('Add')")
        page.click("button:has-text('Invite') >> nth=-1")
        link = page.inner_text("pre code")
    with chromium.page() as page:
        chosen(page, link)
    return "ben@example.com"


def signed_in(page, url, email):
    """Opens a page as somebody who has to sign in on the way."""
    page.goto(url)
    assert "/sign-in" in page.url, "nothing is shown to whoever isn't signed in"
    page.fill("#email", email)
    page.fill("#password", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_url(url)


@pytest.fixture
def run(instance):
    """An agent with a revision, and the token of a run of it."""
    return started(instance, agent(instance))


def agent(instance, name="courier"):
    status, made = instance.call("POST", f"/v2/teams/{instance.team}/agents", {"name": name})
    assert status == 201, made
    path = f"/v2/agents/{made['agent']['id']}/revisions"
    status, _ = instance.call("POST", path, {"name": "first"})
    assert status == 201
    return made["agent"]["id"]


def started(instance, agent_id):
    status, run = instance.call("POST", f"/v2/teams/{instance.team}/runs", {"agent_id": agent_id})
    assert status == 201, run
    return {"agent": agent_id, "token": run["token"]}


def asked(instance, run, **wish):
    """What a run asks for by its token."""
    wish = {"name": "Stripe", "service_slug": "stripe", "env_var_keys": ["STRIPE_API_KEY"], "note": NOTE} | wish
    status, request = call(instance.url, "POST", requests(instance), run["token"], wish)
    assert status == 201, request
    return request


def requests(instance, request=None):
    path = f"/v2/teams/{instance.team}/fill-requests"
    return f"{path}/{request['id']}" if request else path


def status_of(instance, run, request):
    status, told = call(instance.url, "GET", requests(instance, request), run["token"])
    assert status == 200, told
    return told


def environment(instance, run):
    status, told = call(instance.url, "GET", "/v2/run/environment", run["token"])
    assert status == 200, told
    return told["environment"]


def value():
    return f"sk_{secrets.token_hex(16)}"


def typed(page, *values):
    for box, text in zip(page.query_selector_all("textarea[name=value]"), values, strict=True):
        box.fill(text)


def left_in(page):
    """Everything that the browser has of a page: what it shows, and what it keeps."""
    kept = "JSON.stringify([location.href, document.title, document.referrer, history.state, {...localStorage}, "
    kept += "{...sessionStorage}, document.cookie, [...document.querySelectorAll('input,textarea')].map(e => e.value)])"
    return page.content() + page.evaluate(kept)


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_what_a_person_fills_in_comes_out_in_the_next_run(instance, chromium, owner, run, script):
    request, secret = asked(instance, run), value()
    with chromium.page(java_script_enabled=script) as page:
        seen = []
        page.on("request", lambda sent: seen.append(f"{sent.url} {sent.headers}"))
        signed_in(page, request["url"], owner)
        text = page.inner_text("main")
        for told in ["courier", "first", "owner", NOTE, "STRIPE_API_KEY", "Stripe", "nobody checked"]:
            assert told in text, text
        assert "secret of your own: only runs that you start receive it" in text
        assert page.is_checked("[name=shared][value='']"), "no wider than is chosen"
        assert "No run receives them until the secret is attached" in text
        assert not page.is_checked("[name=attach]"), "nothing is attached that nobody chose"
        page.fill("textarea[name=value]", secret)
        page.check("[name=attach]")
        page.click("text=Fill it in >> nth=-1")
        page.wait_for_selector("text=It is attached")
        assert page.complaints == []
        if script:
            assert secret not in left_in(page)
            page.go_back()
            page.wait_for_load_state()
            assert secret not in left_in(page)
        else:
            assert secret not in page.content()
        assert not any(secret in line for line in seen), "it is in no URL and in no header"
        assert all("referer" not in line or "srl_" not in line.split("referer")[1] for line in seen)
    told = status_of(instance, run, request)
    assert told["status"] == "filled"
    assert secret not in str(told)
    assert environment(instance, run) == {}, "this run began without it"
    assert environment(instance, started(instance, run["agent"])) == {"STRIPE_API_KEY": secret}
    with chromium.page() as page:
        assert page.goto(request["url"]).status == 410
        assert "used, withdrawn, or is too old" in page.inner_text("main")
    assert secret not in instance.log.read_text()
    assert "srl_" not in instance.log.read_text()


@pytest.mark.parametrize("shared", [False, True], ids=["own", "the team's"])
def test_the_owner_chooses_whose_it_becomes(instance, chromium, owner, run, shared):
    request = asked(instance, run)
    with chromium.page() as page:
        signed_in(page, request["url"], owner)
        typed(page, value())
        if shared:
            page.check("[name=shared][value=yes]")
        page.click("text=Fill it in >> nth=-1")
        assert "No run receives it until it is attached" in page.inner_text("main")
        page.click("text=See the secret")
        assert "Stripe" in page.inner_text("h1")
        made = page.url.rsplit("/", 1)[1]
    status, secret = instance.call("GET", f"/v2/credentials/{made}")
    assert (status, secret["user_id"]) == (200, None if shared else instance.user)
    assert environment(instance, started(instance, run["agent"])) == {}, "nobody attached it"


def test_several_values_and_lines_arrive_as_they_were_typed(instance, chromium, owner, run):
    request = asked(instance, run, env_var_keys=["B", "A", "C"])
    lines, odd = "-----BEGIN-----\nabc\n-----END-----\n", " +&=%25\té🔑 "
    with chromium.page() as page:
        signed_in(page, request["url"], owner)
        assert page.eval_on_selector_all("label code", "all => all.map(one => one.textContent)") == ["B", "A", "C"]
        typed(page, lines, odd, "0")
        page.check("[name=attach]")
        page.click("text=Fill it in >> nth=-1")
        page.wait_for_selector("text=It is attached")
    assert environment(instance, started(instance, run["agent"])) == {"A": odd, "B": lines, "C": "0"}


def test_a_name_that_the_agent_receives_already_is_told(instance, chromium, owner, run):
    """Whoever gets another value filled in under it would have the agent use that."""
    request = asked(instance, run, env_var_keys=["API_URL", "OTHER"])
    with chromium.page() as page:
        signed_in(page, request["url"], owner)
        assert "from another secret" not in page.inner_text("main")
        typed(page, "https://example.com", "x")
        page.check("[name=attach]")
        page.click("text=Fill it in >> nth=-1")
        page.wait_for_selector("text=It is attached")
        again = asked(instance, run, env_var_keys=["API_URL", "THIRD"], note="use the new server")
        page.goto(again["url"])
        told = page.inner_text("p:has-text('from another secret')")
        assert "API_URL" in told, told
        assert "THIRD" not in told, told
        browser.picture(page, "fill-beats")


def test_who_is_in_another_team_goes_there_first(chromium):
    with Instance() as instance, chromium.page() as page:
        status, _ = instance.call("POST", "/v2/teams", {"name": "Gliders"})
        assert status == 201
        data = ["--data-dir", instance.place / "data"]
        link = instance.command("setup-link", *data, "--public-url", instance.url)
        link = subprocess.run(link, env={"PATH": "/usr/bin:/bin"}, check=True, capture_output=True, text=True)
        chosen(page, link.stdout.strip())
        run = started(instance, agent(instance))
        request = asked(instance, run)
        page.goto(instance.url + "/account")
        page.click("li:has-text('Gliders') button")
        page.goto(request["url"])
        assert "you are in Gliders" in page.inner_text("[role=alert]")
        assert page.query_selector("textarea") is None
        form = page.input_value("input[name=form] >> nth=0")
        fields = {"form": form, "key": "STRIPE_API_KEY", "value": "x", "shared": "yes"}
        assert page.request.post(request["url"], form=fields).status == 404
        assert status_of(instance, run, request)["status"] == "open"
        page.click("text=Go there")
        page.goto(request["url"])
        typed(page, value())
        page.click("text=Fill it in >> nth=-1")
        page.wait_for_selector("h1:has-text('Filled in')")
        assert status_of(instance, run, request)["status"] == "filled"


def test_a_member_without_the_role_is_told_whom_to_ask(instance, chromium, member, run):
    request = asked(instance, run)
    with chromium.page() as page:
        signed_in(page, request["url"], member)
        text = page.inner_text("main")
        assert "somebody with the role manager or higher" in text
        assert page.query_selector("textarea") is None
        browser.picture(page, "fill-without-the-role")
        # Nor by a form of their own making.
        form = page.input_value("input[name=form] >> nth=0")
        fields = {"form": form, "key": "STRIPE_API_KEY", "value": "x", "shared": "yes"}
        answer = page.request.post(request["url"], form=fields)
        assert answer.status == 403, answer.text()
        answer = page.request.post(request["url"], form=fields | {"shared": ""})
        assert answer.status == 403, answer.text()
    assert status_of(instance, run, request)["status"] == "open"


def test_a_refused_form_says_so_and_gives_nothing_back(instance, chromium, owner, run):
    request, secret = asked(instance, run, env_var_keys=["A", "B"]), value()
    with chromium.page() as page:
        signed_in(page, request["url"], owner)
        page.eval_on_selector_all("textarea", "boxes => boxes.forEach(box => box.required = false)")
        typed(page, secret, "")
        page.check("[name=shared][value=yes]")
        page.check("[name=attach]")
        page.click("text=Fill it in >> nth=-1")
        page.wait_for_selector("[role=alert]")
        told = page.inner_text("[role=alert]")
        assert "The value of B must be" in told, told
        assert "Nothing was stored: fill in each value again." in told, told
        assert page.is_checked("[name=shared][value=yes]"), "what was chosen stays so"
        assert page.is_checked("[name=attach]")
        page.check("[name=shared][value='']")
        page.click("text=Fill it in >> nth=-1", no_wait_after=True)
        assert page.url == request["url"], "the browser itself asks for every value"
        assert secret not in left_in(page)
        assert page.eval_on_selector_all("textarea", "all => all.map(one => one.value)") == ["", ""]
        browser.picture(page, "fill-refused")
        typed(page, secret, "b")
        page.click("text=Fill it in >> nth=-1")
        page.wait_for_selector("h1:has-text('Filled in')")
    assert status_of(instance, run, request)["status"] == "filled"


def test_hostile_texts_are_shown_as_they_are(instance, chromium, owner):
    name = HOSTILE[:128]
    run = started(instance, agent(instance, name))
    request = asked(instance, run, name=name, note=HOSTILE, service_slug=HOSTILE[:64], env_var_keys=["K" * 128])
    with chromium.page() as page:
        signed_in(page, request["url"], owner)
        assert page.inner_text("h1") == f"Fill in {name}"
        text = page.text_content("main")
        assert text.count(name) >= 2, text
        assert HOSTILE in text
        # A name that turns the letters around turns only its own.
        isolated = "all => all.map(one => getComputedStyle(one).unicodeBidi)"
        assert set(page.eval_on_selector_all("main bdi", isolated)) == {"isolate"}
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{wide} pixels too wide"
        browser.picture(page, "fill-hostile")
        typed(page, value())
        page.click("text=Fill it in >> nth=-1")
        page.wait_for_selector("h1:has-text('Filled in')")
        assert page.complaints == []
        page.goto(instance.url + "/requests")
        assert page.complaints == []


def posted(url, fields, **headers):
    """A form as something else than a browser sends it; the answer's status."""
    place = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(place.netloc, timeout=30)
    headers = {"Content-Type": "application/x-www-form-urlencoded"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    connection.request("POST", place.path, urllib.parse.urlencode(fields), headers)
    with contextlib.closing(connection):
        return connection.getresponse().status


def test_a_form_of_another_site_is_refused(instance, chromium, owner, run):
    request = asked(instance, run)
    with chromium.page() as page:
        signed_in(page, request["url"], owner)
        form = page.input_value("main input[name=form] >> nth=0")
        cookies = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in page.context.cookies())
    fields = {"form": form, "key": "STRIPE_API_KEY", "value": "x", "shared": "yes"}
    send = {"Cookie": cookies}
    for wrong in [
        {"Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ]:
        assert posted(request["url"], fields, **send, **wrong) == 403, wrong
    for token in ["", "x" * len(form), form[:-1]]:
        assert posted(request["url"], fields | {"form": token}, **send) == 403, token
    assert posted(request["url"], {"key": "STRIPE_API_KEY", "value": "x"}, **send) == 403
    assert posted(request["url"], fields) == 303, "without a session it is led to sign in"
    assert posted(request["url"] + "/alone", fields, **send) == 403
    assert status_of(instance, run, request)["status"] == "open"
    assert posted(request["url"], fields, **send) == 200, "the control"
    assert status_of(instance, run, request)["status"] == "filled"


def test_the_link_alone_does_nothing_where_the_team_does_not_let_it(instance, chromium, run):
    request = asked(instance, run)
    with chromium.page() as page:
        page.goto(instance.url + "/sign-in")
        form = page.input_value("input[name=form]")
        fields = {"form": form, "key": "STRIPE_API_KEY", "value": "x"}
        answer = page.request.post(request["url"] + "/alone", form=fields, max_redirects=0)
        assert answer.status == 303, answer.text()
        assert answer.headers["location"].startswith("/sign-in")
    assert status_of(instance, run, request)["status"] == "open"


def test_no_other_site_can_frame_the_form(instance, chromium, owner, run):
    request = asked(instance, run)
    with chromium.page() as page:
        signed_in(page, request["url"], owner)
        page.goto(instance.url.replace("127.0.0.1", "localhost") + "/healthz")
        page.set_content(f'<iframe src="{request["url"]}"></iframe>')
        page.wait_for_timeout(500)
        assert any("frame-ancestors" in said for said in page.complaints), page.complaints
        assert all("Strongroom" not in frame.title() for frame in page.frames[1:])


def test_withdrawn_while_it_is_filled_in_it_is_not(instance, chromium, owner, run):
    request = asked(instance, run)
    with chromium.page() as page:
        signed_in(page, request["url"], owner)
        typed(page, value())
        assert instance.call("DELETE", requests(instance, request)) == (200, {"success": True})
        page.click("text=Fill it in >> nth=-1")
        page.wait_for_selector("text=used, withdrawn, or is too old")
    assert status_of(instance, run, request)["status"] == "cancelled"


def test_a_person_asks_on_a_page_and_withdraws(instance, chromium, owner):
    with chromium.page() as page:
        signed_in(page, instance.url + "/requests", owner)
        page.click("summary:has-text('Ask for a secret')")
        page.fill("#name", "Asked on a page")
        page.fill("#keys", "TWICE TWICE")
        page.click("text=Make a link")
        assert "asked for twice" in page.inner_text("[role=alert]").lower()
        assert page.input_value("#name") == "Asked on a page"
        page.fill("#keys", "FIRST, SECOND\nTHIRD")
        page.click("text=Make a link")
        link = page.inner_text("pre code")
        assert re.fullmatch(re.escape(instance.url) + r"/fill/srl_\w+", link), link
        browser.picture(page, "fill-asked")
        page.click("text=I have sent it")
        row = page.locator("tr:has-text('Asked on a page')")
        assert "FIRST" in row.inner_text()
        assert "srl_" not in page.content()
        browser.picture(page, "fill-requests")
        row.locator("text=Withdraw").click()
        page.wait_for_selector("text=The request is withdrawn")
        assert page.goto(link).status == 410
        assert [said for said in page.complaints if "410" not in said and "422" not in said] == []


@pytest.mark.parametrize("screen", browser.SCREENS)
def test_everybody_can_fill_it_in(instance, chromium, owner, run, screen):
    request = asked(instance, run, env_var_keys=["STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"])
    with chromium.page(**browser.SCREENS[screen]) as page:
        signed_in(page, request["url"], owner)
        for name in ["fill", "filled", "fill-used"]:
            assert browser.barriers(page) == [], name
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, f"{name} is {wide} pixels too wide"
            browser.picture(page, f"{name}-{screen}")
            if name == "fill":
                # By the keyboard alone.
                page.focus("textarea >> nth=0")
                page.keyboard.type("first")
                page.keyboard.press("Tab")
                page.keyboard.type("second")
                page.focus("text=Fill it in >> nth=-1")
                page.keyboard.press("Enter")
                page.wait_for_selector("h1:has-text('Filled in')")
            else:
                page.goto(request["url"])
