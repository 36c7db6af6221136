"""Everything that pages let people do: the forms on them, filled in so that they make sense."""

from desk import pages

#: Fills in any form.
FILLED = {"name": "Renamed", "email": "new@example.com", "key": "NEW_KEY", "value": "a value", "pasted": ""}
#: What is done last, for it takes away what the others are about.
LAST = [
    "panic", "stop", "detach", "delete", "uninvite", "invite", "revoke", "remove", "team", "end", "end-others",
    "sign-out",
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
    name = form.action.rsplit("/", 1)[-1]
    return LAST.index(name) if name in LAST else -1


def state(visitor, stock):
    """What a team has, as its pages tell."""
    return [visitor.get(page).text for page in pages(stock)]
