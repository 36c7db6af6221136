//! The first page of the documentation, and the same for programs.

use maud::{Markup, html};
use std::fmt::Write as _;

use super::guides::GUIDES;
use super::reference::Reference;
use crate::layout::Frame;

/// What Strongroom is.
const WHAT: &str =
    "Secrets for AI agents, self-hosted: a value goes in once and comes out only inside a run.";

/// The first page, by its path.
pub(crate) fn page(frame: &Frame, reference: &Reference) -> (String, Markup) {
    ("/docs".to_owned(), frame.page("/docs", "Documentation", &index(frame, reference)))
}

/// The page for what isn't there.
pub(crate) fn missing(frame: &Frame) -> Markup {
    let content = html! {
        h1 { "There is no such page" }
        p {
            "The contents list those that there are. The API itself is described in "
            a href=(frame.to("/openapi.json")) { "openapi.json" } "."
        }
    };
    frame.page("", "No such page", &content)
}

fn index(frame: &Frame, reference: &Reference) -> Markup {
    html! {
        h1 { "Strongroom " (reference.version()) }
        p.lead { (WHAT) }
        h2 { "Guides" }
        ul.plain.summaries {
            @for guide in &GUIDES {
                li { a href=(frame.to(&guide.path())) { (guide.title()) } " " (frame.inline(&guide.summary())) }
            }
        }
        h2 { "API" }
        (frame.rendered(reference.about()))
        p { "For programs: " a href=(frame.to("/openapi.json")) { "openapi.json" } ", " a href=(frame.to("/llms.txt")) { "llms.txt" } "." }
        @for group in reference.groups() {
            h3 { a href=(frame.to(&group.path())) { (group.name) } }
            (frame.rendered(&group.about))
            (group.list(&frame.to(&group.path())))
        }
    }
}

/// The index for programs that read: every page with one line
/// (<https://llmstxt.org>). `base` is before each path.
pub(crate) fn llms(base: &str, reference: &Reference) -> String {
    let mut text = format!("# Strongroom\n\n> {WHAT}\n\n{}\n\n## Guides\n\n", reference.about());
    // Writing to a String can't fail.
    for guide in &GUIDES {
        let _ = writeln!(text, "- [{}]({base}{}.md): {}", guide.title(), guide.path(), guide.summary());
    }
    let _ = writeln!(text, "\n## API\n");
    let _ = writeln!(text, "- [openapi.json]({base}/openapi.json): all of it, as OpenAPI 3.1");
    for group in reference.groups() {
        let names: Vec<_> = group.operations.iter().map(|operation| operation.id.as_str()).collect();
        let _ = writeln!(
            text,
            "- [{}]({base}{}): {} {}",
            group.name,
            group.path(),
            group.about,
            names.join(", ")
        );
    }
    text
}
