"""A real browser, which tells of whatever goes wrong in it."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

#: What people look at: a desk by day and by night, and a phone.
SCREENS = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
}

#: Where pictures of the pages go.
PICTURES = Path(os.environ.get("STRONGROOM_PICTURES", Path(__file__).parent.parent / "target/pictures"))


class Browser:
    """Chromium, and pages in it whose complaints are kept."""

    def __init__(self, chromium):
        self._chromium = chromium

    @contextmanager
    def page(self, **options):
        """A page of a browser that knows nothing yet."""
        context = self._chromium.new_context(**options)
        page = context.new_page()
        page.complaints = []
        complain = page.complaints.append
        page.on("console", lambda said: said.type in ("error", "warning") and complain(said.text))
        page.on("pageerror", lambda error: complain(str(error)))
        page.on("dialog", lambda dialog: (complain(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("requestfailed", lambda request: failed(request, complain))
        try:
            yield page
        finally:
            context.close()


def failed(request, complain):
    """Complains of a request, unless it was given up as the page was left."""
    if "ERR_ABORTED" not in (request.failure or ""):
        complain(f"{request.url}: {request.failure}")


@contextmanager
def browser():
    """A browser for as long as a `with` block lasts."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise RuntimeError("there is no Chromium; install it: apt-get install chromium")
    # Its own sandbox doesn't work for root, who runs the tests in containers.
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield Browser(chromium)
        finally:
            chromium.close()


def barriers(page):
    """What keeps people from using the page, if it is serious: a line each."""
    found = Axe().run(page).response["violations"]
    serious = [rule for rule in found if rule["impact"] in ("serious", "critical")]
    return [f"{rule['id']}: {node['target']}" for rule in serious for node in rule["nodes"]]


def weight(page):
    """How many bytes the page and all that it loaded have, uncompressed."""
    return page.evaluate("performance.getEntries().reduce((sum, entry) => sum + (entry.decodedBodySize ?? 0), 0)")


def picture(page, name):
    """Keeps a picture of the page, for people to look at: of its beginning, if it is very long."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    width, height = page.evaluate("[innerWidth, Math.min(document.documentElement.scrollHeight, 4000)]")
    clip = {"x": 0, "y": 0, "width": width, "height": height}
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True, clip=clip)
