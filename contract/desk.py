"""People at the desk: how they come in, what they fill in, and what they are told."""

import base64
import hmac
import re
import time
from contextlib import contextmanager

import pytest

import wire

#: Every page of the desk: what stands in braces is the id of something that the team has,
#: or the token of a link.
PAGES = (
    "/overview",
    "/secrets",
    "/secrets/new",
    "/secrets/{secret}",
    "/secrets/{secret}/policy",
    "/agents",
    "/agents/{agent}",
    "/runs",
    "/runs/{run}",
    "/requests",
    "/fill/{fill}",
    "/keys",
    "/members",
    "/audit",
    "/audit/proof",
    "/settings",
    "/account",
)

#: What must be possible in a browser without scripts, too.
without_scripts_too = pytest.mark.parametrize("owner", [True, False], ids=["with scripts", "without"], indirect=True)


def pages(stock):
    """The paths of all pages of a team that has these."""
    return [page.format(**vars(stock)) for page in PAGES]


def totp(secret, at=None):
    """What an authenticator app with this secret shows then (RFC 6238: SHA-1, six digits, 30 seconds)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    step = int(time.time() if at is None else at) // 30
    digest = hmac.digest(key, step.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


class Person:
    """Somebody at a browser, on one page of it."""

    def __init__(self, page, url):
        self.page, self.url = page, url

    def open(self, path):
        """Opens a page of the desk, or a link; its status."""
        return self.page.goto(path if path.startswith("http") else self.url + path).status

    def set_up(self, link, password=wire.PASSWORD):
        """Comes in by a link."""
        self.open(link)
        self.fill("A new password", password)
        self.send("Set up and sign in")

    def sign_in(self, email, password=wire.PASSWORD, code=""):
        self.open("/sign-in")
        self.fill("Email address", email)
        self.fill("Password", password)
        self.fill("Code", code)
        self.send("Sign in")

    def sign_out(self):
        self.send("Sign out")

    def within(self, place):
        """The same person, who looks at one place of the page alone: a row, say, by what stands in it."""
        return Part(self, place)

    def row(self, text):
        return self.within(self._place.locator("tr, li").filter(has_text=text))

    def opened(self, summary):
        """Opens what is folded away under these words, and looks at that alone."""
        fold = self._place.locator("details").filter(has=self.page.locator("summary", has_text=summary)).first
        if fold.get_attribute("open") is None:
            fold.locator("summary").first.click()
        return self.within(fold)

    def fill(self, label, text):
        self._place.get_by_label(label, exact=True).fill(text)

    def choose(self, label, choice):
        self._place.get_by_label(label, exact=True).select_option(choice)

    def tick(self, label, is_on=True):
        self._place.get_by_label(label).set_checked(is_on)

    def send(self, button):
        """Presses a button that sends a form, and waits for the page that comes of it."""
        with self.page.expect_navigation() as leads:
            self._place.get_by_role("button", name=button, exact=True).click()
        return leads.value.status

    def follow(self, link):
        with self.page.expect_navigation() as leads:
            self._place.get_by_role("link", name=link, exact=True).first.click()
        return leads.value.status

    @property
    def _place(self):
        return self.page.locator("body")

    @property
    def path(self):
        """Where they are, without the query."""
        return re.sub(r"^https?://[^/]*|\?.*$", "", self.page.url)

    @property
    def notice(self):
        """What they are told that was done."""
        return self.page.get_by_role("status").inner_text()

    @property
    def problem(self):
        """What they are told that is in the way."""
        return self.page.get_by_role("alert").inner_text()

    @property
    def text(self):
        """What stands there."""
        return self._place.inner_text()

    def column(self, number=0):
        """What stands in one column of the first list."""
        rows = self._place.locator("table").first.locator("tbody tr")
        return [row.locator("th, td").nth(number).inner_text() for row in rows.all()]


class Part(Person):
    """One place of a page."""

    def __init__(self, person, place):
        super().__init__(person.page, person.url)
        self._part = place

    @property
    def _place(self):
        return self._part


@contextmanager
def person(chromium, instance, email=None, **options):
    """Somebody at a browser of their own; signed in, if it is said who they are."""
    with chromium.page(**options) as page:
        somebody = Person(page, instance.url)
        if email:
            come_in(page, wire.member(instance, email))
            somebody.open("/overview")
        yield somebody
        assert complaints(page) == []


def come_in(page, visitor):
    """Gives a browser the cookies of somebody who is signed in."""
    cookies = [{"name": name, "value": value, "url": visitor.url} for name, value in visitor.cookies.items()]
    page.context.add_cookies(cookies)
    # Long for a machine that is busy, short beside a test that would wait for nothing.
    page.set_default_timeout(10_000)


def complaints(page):
    """What went wrong in a browser, but for what is meant to be: that a form was refused is told
    on its console, too, and that an answer to one isn't there any more to go back to."""
    meant = re.compile(r"responded with a status of 4(0[349]|10|22)|ERR_CACHE_MISS")
    return [said for said in page.complaints if not meant.search(said)]


def owner(chromium, instance, **options):
    """The owner of the instance's first team, signed in."""
    return person(chromium, instance, "owner@localhost", **options)
