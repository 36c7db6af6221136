"""Sessions: nobody is in one that another chose, one that is over stays over, and guessing leads nowhere."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import desk
import wire
from instance import Instance

ADDRESS = "owner@localhost"
SESSION, MARK = "strongroom", "strongroom-browser"
#: By which proxies tell whom they speak for.
SPOOFED = ["X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "X-Client-IP"]


def test_a_cookie_of_before_is_not_the_one_after(chromium, instance):
    attacker = wire.member(instance)
    with desk.person(chromium, instance) as victim:
        # The attacker's own session, and the form that they have open, in the victim's browser.
        fresh = wire.Visitor(instance.url)
        fresh.get("/sign-in")
        desk.come_in(victim.page, fresh)
        planted = dict(fresh.cookies)
        victim.page.context.add_cookies([{"name": SESSION, "value": "planted", "url": instance.url}])
        victim.sign_in(ADDRESS)
        assert victim.path == "/overview"
        after = {cookie["name"]: cookie["value"] for cookie in victim.page.context.cookies()}
    assert after[SESSION] not in ("planted", attacker.cookies[SESSION])
    assert not set(planted.values()) & set(after.values())
    assert attacker.is_in, "a control: the session that the attacker has is another"


def test_an_attacker_s_session_does_not_become_the_victim_s(instance):
    attacker = wire.member(instance)
    planted = attacker.cookies[SESSION]
    victim = wire.Visitor(instance.url)
    form = victim.get("/sign-in").forms[0]
    victim.cookies[SESSION] = planted
    victim.send(form, email=ADDRESS, password=wire.PASSWORD)
    assert victim.is_in
    assert victim.cookies[SESSION] != planted


def test_each_sign_in_has_its_own(instance):
    visitor = wire.member(instance)
    seen = [dict(visitor.cookies)]
    for _ in range(3):
        form = wire.Visitor(instance.url)
        form.sign_in(ADDRESS)
        seen.append(dict(form.cookies))
    for name in (SESSION, MARK):
        assert len({cookies[name] for cookies in seen}) == len(seen), name


def in_again(instance, cookies):
    """Whether cookies that somebody kept still let them in."""
    visitor = wire.Visitor(instance.url)
    visitor.cookies = dict(cookies)
    return visitor.is_in


def ended_by(instance, how):
    """Ends sessions in one of the ways; the cookies that must be dead, and those that must not."""
    here = wire.member(instance)
    there = wire.Visitor(instance.url)
    there.sign_in(ADDRESS)
    kept, other = dict(here.cookies), dict(there.cookies)
    assert in_again(instance, kept)
    assert in_again(instance, other)
    if how == "signing out":
        here.send(here.get("/account").form("/sign-out"))
        return [kept], [other]
    if how == "ending one":
        here.send(here.get("/account").form("/account/sessions/end"))
    elif how == "ending all others":
        here.send(here.get("/account").form("/account/sessions/end-others"))
    elif how == "a new password":
        form = next(form for form in here.get("/account").forms if form.about.get("change") == "password")
        assert here.send(form, password=wire.PASSWORD, new="quite another password").status == 303
    else:
        wire.Visitor(instance.url).set_up(instance.setup_link(), "quite another password")
        return [kept, other], []
    return [other], [kept]


@pytest.mark.parametrize("how", ["signing out", "ending one", "ending all others", "a new password", "a new link"])
def test_what_is_over_stays_over(instance, how):
    dead, alive = ended_by(instance, how)
    assert [in_again(instance, cookies) for cookies in dead] == [False] * len(dead)
    assert [in_again(instance, cookies) for cookies in alive] == [True] * len(alive)


def test_whoever_is_removed_is_out(instance, shop):
    user = shop.member("Ada", "administrator", "ada@example.com")
    ada = wire.member(instance, "ada@example.com")
    assert ada.is_in
    shop.ask("DELETE", f"/v2/teams/{shop.team}/members/{user}")
    assert not ada.is_in
    assert ada.sign_in("ada@example.com").status == 422


def guesses(url, tries=40):
    """How many wrong passwords are looked at that come from one place and say to come from many."""
    looked_at = 0
    for number in range(tries):
        visitor = wire.Visitor(url, "127.0.5.1")
        spoofed = dict.fromkeys(SPOOFED, f"198.51.{number}.7")
        spoofed["Forwarded"] = f"for=198.51.{number}.7"
        answer = visitor.sign_in(ADDRESS, f"guess number {number}", **spoofed)
        assert answer.status == 422
        looked_at += "is wrong" in answer.text
        assert "is wrong" in answer.text or "too many tries" in answer.text.lower()
    return looked_at


def test_spoofed_addresses_are_worth_no_more_guesses(instance):
    owner = wire.member(instance)
    # Five are free; then it is a second until the next, then two, then four…
    begin = time.monotonic()
    looked_at = guesses(instance.url)
    took = time.monotonic() - begin
    assert 5 <= looked_at <= 5 + (took + 1).__ceil__().bit_length(), took
    there = wire.Visitor(instance.url, "127.0.5.1")
    assert "too many tries" in there.sign_in(ADDRESS).text.lower(), "also with the right one"
    # Who is elsewhere, or was there before, comes in all the same.
    assert wire.Visitor(instance.url, "127.0.6.1").sign_in(ADDRESS).leads == "/overview"
    known = wire.Visitor(instance.url, "127.0.5.1")
    known.cookies = {MARK: owner.cookies[MARK]}
    assert known.sign_in(ADDRESS).leads == "/overview"


def test_addresses_that_a_proxy_vouches_for_are_counted_each():
    """A control: were they believed, all guesses would be looked at."""
    with Instance("--trusted-proxies", "127.0.5.0/24") as instance:
        wire.member(instance)
        assert guesses(instance.url, 12) == 12


def with_app(instance):
    """The owner, the secret of their app, and their recovery codes."""
    visitor = wire.Visitor(instance.url)
    link = instance.setup_link()
    secret = re.search(r"<code class=\"wide\">(\w+)", visitor.get(link).text)[1]
    answer = visitor.set_up(link, code=desk.totp(secret))
    return visitor, secret, re.findall(r"(?:[a-z2-9]{4}-){3}[a-z2-9]{4}", answer.text)


def test_a_code_is_good_once_of_64_at_a_time(instance):
    owner, secret, codes = with_app(instance)
    assert len(codes) == 10
    marks = [owner.cookies[MARK]]
    # Each browser that is known has tries of its own: so that more than a few get to the code.
    for code in codes[:8]:
        known = wire.Visitor(instance.url)
        assert known.sign_in(ADDRESS, code=code).leads == "/overview"
        marks.append(known.cookies[MARK])
    visitors = [wire.Visitor(instance.url) for _ in range(64)]
    forms = []
    for number, visitor in enumerate(visitors):
        forms.append(visitor.get("/sign-in").forms[0])
        visitor.cookies[MARK] = marks[number % len(marks)]
    code = desk.totp(secret, time.time() + 30)

    def try_it(pair):
        return pair[0].send(pair[1], email=ADDRESS, password=wire.PASSWORD, code=code)

    with ThreadPoolExecutor(64) as together:
        answers = list(together.map(try_it, zip(visitors, forms, strict=True)))
    assert [answer.status for answer in answers if answer.leads == "/overview"] == [303]
    assert sum(visitor.is_in for visitor in visitors) == 1
    assert {answer.status for answer in answers} == {303, 422}
    looked_at = [answer for answer in answers if "too many tries" not in answer.text.lower()]
    assert len(looked_at) > 20, "so many got to the code"


@pytest.mark.parametrize(
    ("path", "button", "leads"),
    [("/agents", "Create", "/agents"), ("/settings", "Store", "/overview"), ("/account", "Sign out", "/overview")],
)
def test_a_form_sent_too_late_says_so_and_leads_back(chromium, instance, path, button, leads):
    with desk.owner(chromium, instance) as owner:
        owner.open(path)
        if path == "/agents":
            owner.fill("New agent", "Too late")
        elsewhere = wire.Visitor(instance.url)
        elsewhere.sign_in(ADDRESS)
        elsewhere.send(elsewhere.get("/account").form("/account/sessions/end-others"))
        owner.send(button)
        assert owner.path == "/sign-in"
        told = owner.page.get_by_role("alert").all_inner_texts()
        expected = "You weren't signed in any more when you sent that form: nothing was done. Sign in, and do it again."
        assert told == ([] if button == "Sign out" else [expected])
        owner.fill("Email address", ADDRESS)
        owner.fill("Password", wire.PASSWORD)
        owner.send("Sign in")
        assert owner.path == leads
        assert "Too late" not in owner.text


def test_who_only_looked_is_told_of_nothing(instance):
    visitor = wire.Visitor(instance.url)
    assert visitor.get("/secrets").leads == "/sign-in?to=/secrets"
    assert 'role="alert"' not in visitor.get("/sign-in?to=/secrets").text


def test_who_is_signed_in_goes_where_the_link_leads(instance):
    owner = wire.member(instance)
    for to, leads in [
        ("/members", "/members"),
        ("", "/overview"),
        ("https://evil.example", "/overview"),
        ("//evil.example", "/overview"),
        ("/%5Cevil.example", "/overview"),
        ("/sign-in", "/sign-in"),
    ]:
        answer = owner.get(f"/sign-in?to={to}")
        assert (answer.status, answer.leads) == (303, leads), to


def test_nothing_is_there_to_go_back_to(chromium, instance, shop):
    shop.secret("Payments")
    with desk.owner(chromium, instance) as owner:
        owner.open("/secrets")
        assert "Payments" in owner.text
        owner.sign_out()
        owner.page.go_back()
        assert owner.path == "/sign-in"
        assert "Payments" not in owner.page.content()
