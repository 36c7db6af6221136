"""What pages offer is what is allowed: to each role no button that is refused, and no act too few."""

from dataclasses import dataclass

import pytest

import acts
import wire
from desk import pages
from stock import Shop, stocked

ROLES = ["member", "builder", "manager", "administrator", "owner"]
#: The least role that is offered an act on what is their own, and on what is the team's;
#: "-" where there is no such thing.
OFFERED = """
/secrets                  member         -
/secrets/{}               member         manager
/secrets/{}/values        member         manager
/secrets/{}/policy        member         manager
/secrets/{}/rollback      member         manager
/secrets/{}/delete        member         manager
/agents                   builder        -
/agents/{}                -              builder
/agents/{}/revisions      -              builder
/agents/{}/promote        -              builder
/agents/{}/attach         member         -
/agents/{}/detach         member         builder
/agents/{}/delete         -              manager
/runs/{}/stop             builder        manager
/runs/{}/panic            builder        administrator
/requests                 member         -
/requests/cancel          member         manager
/fill/{}                  member         manager
/keys                     administrator  -
/keys/revoke              member         administrator
/members                  administrator  -
/members/role             builder        administrator
/members/invite           -              administrator
/members/uninvite         -              administrator
/members/remove           member         administrator
/settings/name            -              administrator
/settings/fill            -              administrator
/settings/teams           -              owner
/settings/key             -              owner
/settings/delete          -              owner
/audit/proof              member         -
/account/sign-in          member         -
/account/sessions/end     member         -
/account/sessions/end-others member      -
/sign-out                 member         -
"""
SCOPES = ["secrets:read", "secrets:write", "runs:start", "team:read"]


@dataclass
class Somebody:
    """A member, what is theirs, and the ways to it."""

    visitor: wire.Visitor
    shop: Shop
    user: str
    #: The ids of what is theirs.
    own: set
    pages: list
    #: What they ask to be filled in.
    request: str = ""


def somebody(instance, shop, role):
    """A member with a secret, a key, and a run if they may start one."""
    email = f"{role}-{len(shop.ask('GET', f'/v2/teams/{shop.team}/members'))}@example.com"
    user = shop.member(role.capitalize(), role, email)
    link = shop.ask("POST", f"/v2/teams/{shop.team}/key-links", {"user_id": user, "name": "theirs", "scopes": SCOPES})
    key = shop.ask("POST", "/v2/key-links/claim", key=link["link"])
    own = Shop(instance, shop.team, key["api_key"])
    visitor = wire.member(instance, email)
    return Somebody(visitor, own, user, {user, key["id"]}, [])


@pytest.fixture(params=ROLES)
def team(request, instance, shop):
    """Somebody of each role in a team that has everything, twice: theirs, and the team's."""
    stock = stocked(shop)
    shop.revision(stock.agent, "second")
    shop.ask("PATCH", f"/v2/credentials/{stock.secret}", {"add_values": {"MORE": "1"}})
    who = somebody(instance, shop, request.param)
    secret = who.shop.secret("Mine", shared=False)
    who.shop.ask("PATCH", f"/v2/credentials/{secret}", {"add_values": {"MORE": "1"}})
    who.shop.attach(stock.agent, stock.revision, secret)
    shop.api_key("Robot's", service_user_id=shop.member("Robot"), role="member")
    # One more to attach.
    who.shop.secret("Mine, too", shared=False)
    shop.asked("To be withdrawn")
    who.request, fill = who.shop.asked("Mine")
    who.own |= {secret, who.request, fill, who.shop.asked("Mine, to be withdrawn")[0]}
    who.pages = [*pages(stock), f"/secrets/{secret}", f"/secrets/{secret}/policy", f"/fill/{fill}"]
    if request.param != "member":
        run, _ = who.shop.run(stock.agent)
        who.own.add(run)
        who.pages.append(f"/runs/{run}")
    # In another browser, too.
    wire.Visitor(instance.url).sign_in(shop.ask("GET", "/v2/profile", key=who.shop.key)["profile"]["email"])
    # Somebody above most and somebody below all, both invited.
    owner = wire.member(instance)
    for other in ("administrator", "member"):
        shop.member("Other", other, f"other-{other}@example.com")
    for form in owner.get("/members").forms:
        if form.act == "/members/invite":
            owner.send(form)
    return request.param, who, owner, stock


def expected(role):
    """The acts that a role is offered: on what is their own, on what is the team's."""
    acts = set()
    for line in OFFERED.strip().splitlines():
        act, *least = line.split()
        for whose, needed in zip(("own", "team"), least, strict=True):
            if needed != "-" and ROLES.index(role) >= ROLES.index(needed):
                acts.add((act, whose))
    return acts


def offered(who, forms):
    """The same as it is seen."""
    only_team = {line.split()[0] for line in OFFERED.strip().splitlines() if line.split()[1] == "-"}
    only_own = {line.split()[0] for line in OFFERED.strip().splitlines() if line.split()[2] == "-"}

    def whose(form):
        ids = {*form.action.split("/"), *form.about.values()}
        if form.act in only_own or (form.act not in only_team and ids & who.own):
            return "own"
        return "team"

    return {(form.act, whose(form)) for form in forms}


def test_what_is_offered_is_what_is_allowed(team):
    role, who, owner, stock = team
    forms = acts.forms(who.visitor, who.pages)
    assert offered(who, forms.values()) == expected(role)
    # What others are offered and they aren't, they are refused.
    token = dict(who.visitor.get("/account").form("/sign-out").fields)[wire.TOKEN]
    before = acts.state(owner, stock)
    others = acts.forms(owner, pages(stock))
    # They could invite themselves, which is of no use.
    mine = ("/members/invite", ("user", who.user))
    refused = [form for about, form in others.items() if about not in forms and about != mine]
    for form in refused:
        # A role that they have already would change nothing.
        role_wanted = {"role": "owner"} if form.act == "/members/role" else {}
        answer = who.visitor.send(form, **acts.filled(form), **role_wanted, form=token)
        assert answer.status in (403, 404), (form.act, answer.status)
    assert acts.state(owner, stock) == before
    assert role == "owner" or len(refused) >= 3
    # What they are offered is done.
    done = {stock.request, who.request}
    for form in sorted(forms.values(), key=acts.last):
        answer = who.visitor.send(form, **acts.filled(form))
        # What was filled in can't be withdrawn.
        filled_in = form.act == "/requests/cancel" and form.about["request"] in done
        assert answer.status in ((404,) if filled_in else (200, 303, 422)), (form.act, answer.status, answer.text)
        assert not (answer.leads or "").startswith("/sign-in") or acts.last(form) >= acts.LAST.index("remove"), form.act


def test_another_team_s_things_are_not_there(instance, shop):
    """Nor can they be told from those that never were."""
    other = shop.other_team("Second")
    theirs, absent = stocked(other), stocked(shop)
    for name in vars(absent):
        setattr(absent, name, "01a22386-0b27-7000-8060-d74b478149a4")
    shop.member("Ada", "administrator", "ada@example.com")
    ada = wire.member(instance, "ada@example.com")
    for theirs_page, absent_page in zip(pages(theirs), pages(absent), strict=True):
        # A link tells whoever has it what it is for.
        if theirs_page == absent_page or theirs_page.startswith("/fill/"):
            continue
        found, none = ada.get(theirs_page), ada.get(absent_page)
        assert (found.status, none.status) == (404, 404), theirs_page
        assert found.text == none.text
    assert ada.get(f"/runs?agent={theirs.agent}").status == 404


def test_nothing_is_done_to_another_team_s_things(instance, shop):
    other = shop.other_team("Second")
    mine, theirs = stocked(shop), stocked(other)
    owner = wire.member(instance)
    shop.member("Ada", "administrator", "ada@example.com")
    ada = wire.member(instance, "ada@example.com")
    move = owner.get("/account").form("/account/team")
    forms = acts.forms(ada, pages(mine))
    owner.send(move)
    before = acts.state(owner, theirs)
    swapped = {mine.__dict__[name]: theirs.__dict__[name] for name in vars(mine)}
    tried = 0
    for form in forms.values():
        fields = [(name, swapped.get(value, value)) for name, value in form.fields]
        action = "/".join(swapped.get(piece, piece) for piece in form.action.split("/"))
        if (action, fields) != (form.action, form.fields):
            answer = ada.post(action, [(name, acts.FILLED.get(name, value)) for name, value in fields])
            assert answer.status == 404, (form.act, answer.status)
            tried += 1
    assert tried >= 10
    assert acts.state(owner, theirs) == before
