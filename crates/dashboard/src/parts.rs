//! What pages are put together from.

use maud::{Markup, html};
use strongroom_core::Timestamp;

use crate::desk::Desk;
use crate::forms::TOKEN;

/// What was just done, in words; `None` for a name that a link made up.
pub(crate) fn notice(done: &str) -> Option<&'static str> {
    Some(match done {
        "secret-created" => "The secret is stored. Its values stay inside from now on.",
        "secret-changed" | "agent-changed" => "The change is stored.",
        "secret-deleted" => "The secret is deleted. It can be brought back until it is purged.",
        "secret-undeleted" => "The secret is back.",
        "rolled-back" => "The earlier version is current again, as a new one.",
        "policy-set" => {
            "The policy is stored. From the next request on, the broker puts values where it allows, and nowhere else."
        }
        "key-revoked" => "The key is revoked. It is refused from now on.",
        "member-added" => "They are a member now. Invite them, so that they can sign in.",
        "member-changed" => "Their role is changed.",
        "member-removed" => "They are no member any more; their keys are revoked.",
        "invitation-cancelled" => "The invitation is withdrawn.",
        "agent-created" => "The agent is there.",
        "agent-deleted" => "The agent is deleted, and its runs have ended.",
        "revision-created" => "The revision is there.",
        "promoted" => "That revision is live now: new runs use it.",
        "attached" => "The secret is attached. Runs that start from now on receive it.",
        "detached" => "The secret is detached. Runs that start from now on don't receive it.",
        "run-stopped" => "The run is stopped. It receives nothing any more.",
        "session-ended" => "That session is ended.",
        "sessions-ended" => "All other sessions are ended.",
        "password-changed" => "Your password is changed, and your other sessions are ended.",
        "app-removed" => "You sign in without an app now.",
        "key-rotated" => "The team has a new key. What is there is being sealed anew.",
        "settings-changed" => "The settings are stored.",
        "request-cancelled" => "The request is withdrawn; its link is refused from now on.",
        "team-deleted" => "The team is deleted. Sign in to go to another of yours.",
        "moved" => "You are in this team now.",
        _ => return None,
    })
}

/// What a form carries to be taken.
pub(crate) fn token(form: &str) -> Markup {
    html! { input type="hidden" name=(TOKEN) value=(form); }
}

/// What is wrong with what was filled in.
pub(crate) fn problem(message: Option<&str>) -> Markup {
    html! {
        @if let Some(message) = message {
            p.problem role="alert" { (message) }
        }
    }
}

/// A field of a form, with its name and a word about it.
pub(crate) fn field(label: &str, name: &str, hint: &str, input: &Markup) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            (input)
            @if !hint.is_empty() { small id={ (name) "-hint" } { (hint) } }
        }
    }
}

/// A line of text to be filled in, with its label, its field's name, and a word about it.
pub(crate) fn text(
    (label, name, hint): (&str, &str, &str),
    value: &str,
    most: usize,
    is_required: bool,
) -> Markup {
    // What describes it must be there.
    let described_by = (!hint.is_empty()).then(|| format!("{name}-hint"));
    field(
        label,
        name,
        hint,
        &html! {
            input #(name) name=(name) value=(value) maxlength=(most) required[is_required] autocomplete="off"
                aria-describedby=[described_by];
        },
    )
}

/// A moment, as people read it.
pub(crate) fn time(moment: Timestamp) -> Markup {
    let text = moment.to_string();
    let minutes = text.get(..16).unwrap_or(&text).replace('T', " ");
    html! { time datetime=(text) { (minutes) " UTC" } }
}

/// The same to the second, where much happens in a minute.
pub(crate) fn second(moment: Timestamp) -> Markup {
    let text = moment.to_string();
    let seconds = text.get(..19).unwrap_or(&text).replace('T', " ");
    html! { time datetime=(text) { (seconds) " UTC" } }
}

/// The same for what may not have happened.
pub(crate) fn maybe_time(moment: Option<Timestamp>, never: &str) -> Markup {
    moment.map_or_else(|| html! { (never) }, time)
}

/// So many of something, in words.
pub(crate) fn count(count: u64, one: &str) -> String {
    let stem = one.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']));
    match (count, stem) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {one}s"),
    }
}

/// A form that is one button.
pub(crate) fn button(action: &str, form: &str, label: &str, fields: &[(&str, &str)]) -> Markup {
    html! {
        form.inline method="post" action=(action) {
            (token(form))
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            button type="submit" { (label) }
        }
    }
}

/// Something that ends or takes away: it asks again before it is done, in place.
pub(crate) fn danger(label: &str, what_it_means: &str, form: &Markup) -> Markup {
    html! {
        details.danger {
            summary { (label) }
            p { (what_it_means) }
            (form)
        }
    }
}

/// The links from one page of a list to its neighbours.
pub(crate) fn pages(links: &[(&str, Option<String>)]) -> Markup {
    html! {
        @if links.iter().any(|(_, to)| to.is_some()) {
            nav.pages aria-label="Pages" {
                @for (name, to) in links {
                    @if let Some(to) = to { a href=(to) { (name) } }
                }
            }
        }
    }
}

/// How many of a list are on a page that has a form in each row: a page stays light.
pub(crate) const SHOWN: usize = 50;

/// The links of such a list of so many, shown from a place on.
pub(crate) fn turned(desk: &Desk, path: &str, from: usize, total: usize) -> Markup {
    let to = |from: usize| desk.to(&format!("{path}?from={from}"));
    let next = from.saturating_add(SHOWN);
    pages(&[
        ("Back", (from > 0).then(|| to(from.saturating_sub(SHOWN)))),
        ("More", (next < total).then(|| to(next))),
    ])
}

/// Text that is shown once, to be copied.
pub(crate) fn copied(id: &str, label: &str, text: &str) -> Markup {
    html! {
        div.copied {
            p #{ (id) "-label" } { (label) }
            pre tabindex="0" aria-labelledby={ (id) "-label" } { code #(id) { (text) } }
            button.copy type="button" data-copy=(id) hidden { "Copy" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        for (counted, told) in [
            (count(1, "day"), "1 day"),
            (count(30, "day"), "30 days"),
            (count(0, "run"), "0 runs"),
            (count(1, "delivery"), "1 delivery"),
            (count(2, "delivery"), "2 deliveries"),
        ] {
            assert_eq!(counted, told);
        }
    }

    #[test]
    fn what_describes_a_field_is_there() {
        let with = text(("Name", "name", "A word about it."), "", 9, true).into_string();
        assert!(
            with.contains("aria-describedby=\"name-hint\"") && with.contains("id=\"name-hint\""),
            "{with}"
        );
        let without = text(("Name", "name", ""), "", 9, true).into_string();
        assert!(!without.contains("-hint"), "{without}");
    }
}
