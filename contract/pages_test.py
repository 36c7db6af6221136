"""The pages in a real browser: that they work, for everybody, and that nothing else does."""

import re

import pytest

import browser
from instance import Instance


@pytest.fixture(scope="module")
def instance():
    with Instance() as running:
        yield running


#: One page of each kind: these are examined more closely.
KINDS = ["/docs", "/docs/first-run", "/docs/threat-model", "/docs/api/runs", "/docs/none"]


def paths(page):
    """Every page that the contents name, and the one for what isn't there."""
    links = page.eval_on_selector_all("nav a", "links => links.map(link => link.getAttribute('href'))")
    return ["/docs", *links, "/docs/none"]


@pytest.mark.parametrize("screen", browser.SCREENS)
def test_every_page_can_be_read_by_everybody(instance, chromium, screen):
    with chromium.page(**browser.SCREENS[screen]) as page:
        page.goto(f"{instance.url}/docs")
        all_paths = paths(page)
        assert len(all_paths) > 15, all_paths
        assert set(KINDS) <= set(all_paths)
        for path in all_paths:
            page.complaints.clear()
            answer = page.goto(instance.url + path)
            missing = path == "/docs/none"
            assert answer.status == (404 if missing else 200), path
            # That a page isn't there is told on the console, too.
            assert missing or page.complaints == [], path
            assert 4_000 < browser.weight(page) <= 150 * 1024, path
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, f"{path} is {wide} pixels too wide"
            if path in KINDS:
                assert browser.barriers(page) == [], path
                browser.picture(page, f"{path.strip('/').replace('/', '-')}-{screen}")


def test_what_is_wrong_with_a_page_is_noticed(instance, chromium):
    with chromium.page() as page:
        page.goto(f"{instance.url}/docs")
        page.evaluate(
            "document.querySelector('main').insertAdjacentHTML('beforeend', '<input><img src=/assets/mark.svg>')"
        )
        found = " ".join(browser.barriers(page))
        assert "label" in found, found
        assert "image-alt" in found, found
        assert page.complaints == []
        page.evaluate("document.body.appendChild(document.createElement('script')).text = 'alert(1)'")
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=color:red>')")
        page.evaluate("fetch('/openapi.json').catch(() => {})")
        page.wait_for_function("true")
        refused = [said for said in page.complaints if "Content Security Policy" in said]
        assert len(refused) >= 2, page.complaints
        assert not any(said.startswith("dialog") for said in page.complaints)


def test_the_keyboard_leads_to_the_content(instance, chromium):
    with chromium.page() as page:
        page.goto(f"{instance.url}/docs/first-run")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main') !== null")


def test_no_other_site_can_frame_a_page(instance, chromium):
    with chromium.page() as page:
        # Of another site: only its name is.
        page.goto(instance.url.replace("127.0.0.1", "localhost") + "/healthz")
        page.set_content(f'<iframe src="{instance.url}/docs"></iframe>')
        page.wait_for_function("true")
        page.wait_for_timeout(500)
        assert any("frame-ancestors" in said for said in page.complaints), page.complaints
        assert all("Strongroom" not in frame.title() for frame in page.frames[1:])


def test_the_reference_has_calls_that_work(instance, chromium):
    """What is shown is pasted: the first call of the page about secrets makes one."""
    with chromium.page() as page:
        page.goto(f"{instance.url}/docs/api/secrets-v1")
        call = page.inner_text("section:has(h2#createSecretV1) pre")
    path = re.search(r'"\$STRONGROOM_URL(.*?)"', call)[1]
    body = re.search(r"-d '(.*)'", call, re.DOTALL)[1]
    status, made = instance.call("POST", path, body)
    assert (status, made["name"]) == (201, "Stripe"), made
