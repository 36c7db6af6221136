"""Everything that pages let people do: the forms on them, filled in so that they make sense."""

from desk import pages

#: Pages that tell of what was tried, too.
TELLING = ("/overview", "/audit", "/audit/proof")

#: Fills in any form.
FILLED = {
    "name": "Renamed",
    "team-name": "Renamed",
    "confirm": "Renamed",
    "email": "new@example.com",
    "key": "NEW_KEY",
    "keys": "NEW_KEY",
    "value": "a value",
    "pasted": "",
    "kept": "no head",
}
#: What is done last, for it takes away what the others are about.
LAST = [
    "cancel", "panic", "stop", "detach", "delete", "uninvite", "invite", "revoke", "settings/fill", "remove", "team",
    "settings/key", "settings/teams", "settings/delete", "end", "end-others", "sign-out",
]  # fmt: skip


def forms(visitor, paths):
    """The forms on these pages that do something, each once, by what it does and to what."""
    found = {}
    for path in paths:
        answer = visitor.get(path)
        assert answer.status == 200, path
        for form in answer.forms:
            if form.method == "post":
                found[form.action, *sorted(form.about.items())] = form
    return found


def filled(form):
    """What to fill in."""
    names = {name for name, _ in form.fields} - set(form.about)
    return {name: value for name, value in FILLED.items() if name in names}


def last(form):
    """When to send it: what takes away comes late."""
    whole, name = form.action.lstrip("/"), form.action.rsplit("/", 1)[-1]
    return max(LAST.index(found) if found in LAST else -1 for found in (whole, name))


def state(visitor, stock):
    """What a team has, as its pages tell."""
    return [visitor.get(page).text for page in pages(stock) if page not in TELLING]
