"""What tests are given: a browser, which all share, and an instance, which none does."""

import pytest

import browser
import desk
from instance import Instance
from stock import Shop


@pytest.fixture(scope="session")
def chromium():
    with browser.browser() as running:
        yield running


@pytest.fixture
def instance():
    with Instance() as running:
        yield running


@pytest.fixture
def shop(instance):
    """What makes things in the first team."""
    return Shop(instance)


@pytest.fixture
def owner(request, chromium, instance):
    """The owner of the first team at the desk."""
    with desk.owner(chromium, instance, java_script_enabled=getattr(request, "param", True)) as somebody:
        yield somebody
