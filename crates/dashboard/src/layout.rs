//! The frames of all pages: the documentation's, a lone form's, the desk's.

use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use strongroom_core::access::Action;

use crate::desk::Desk;
use crate::docs::markdown;
use crate::parts;
use crate::visit::Visit;

/// A whole page; `to` makes links of paths, and `class` is what its body is.
fn whole(to: &dyn Fn(&str) -> String, title: &str, with_script: bool, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Strongroom" }
                link rel="icon" href=(to("/assets/mark.svg")) type="image/svg+xml";
                link rel="stylesheet" href=(to("/assets/style.css"));
                @if with_script { script src=(to("/assets/desk.js")) defer {} }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                (body)
            }
        }
    }
}

fn brand(to: &dyn Fn(&str) -> String, leads: &str) -> Markup {
    html! {
        a.brand href=(to(leads)) {
            img src=(to("/assets/mark.svg")) alt="" width="24" height="24";
            "Strongroom"
        }
    }
}

/// What is the same on every page of the documentation.
pub(crate) struct Frame {
    /// What stands before each path.
    base: String,
    /// The contents, under headings: path and name of each page.
    contents: Vec<(&'static str, Vec<(String, String)>)>,
}

impl Frame {
    pub(crate) fn new(base: &str, contents: Vec<(&'static str, Vec<(String, String)>)>) -> Self {
        Self { base: base.to_owned(), contents }
    }

    /// What a link to this path is.
    pub(crate) fn to(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Our own Markdown as HTML.
    pub(crate) fn rendered(&self, markdown: &str) -> Markup {
        markdown::rendered(markdown, &self.base)
    }

    /// A sentence of it, to stand in a line with others.
    pub(crate) fn inline(&self, markdown: &str) -> Markup {
        markdown::inline(markdown, &self.base)
    }

    /// A page with this title and content, at this path.
    pub(crate) fn page(&self, path: &str, title: &str, content: &Markup) -> Markup {
        let body = html! {
            header {
                (brand(&|path| self.to(path), "/docs"))
                a.to-contents href="#contents" { "Contents" }
            }
            // The contents come after: on a narrow screen they would fill it.
            div.columns {
                main #content tabindex="-1" { (content) }
                nav.contents #contents aria-label="Documentation" { (self.contents(path)) }
            }
        };
        whole(&|path| self.to(path), title, false, &body)
    }

    fn contents(&self, path: &str) -> Markup {
        html! {
            @for (heading, links) in &self.contents {
                h2 { (heading) }
                ul {
                    @for (to, name) in links {
                        li { a href=(self.to(to)) aria-current=[(to == path).then_some("page")] { (name) } }
                    }
                }
            }
        }
    }
}

/// A page that is all there is: nobody is signed in, or it can't go on from it.
pub(crate) fn alone(desk: &Desk, title: &str, content: &Markup) -> Response {
    let body = html! {
        header { (brand(&|path| desk.to(path), "/")) }
        main.alone #content tabindex="-1" { (content) }
    };
    Html(whole(&|path| desk.to(path), title, true, &body).into_string()).into_response()
}

/// Where the desk's pages are, in the order of its menu, and what shows that
/// somebody may look there.
const MENU: [(&str, &str, Action); 9] = [
    ("/overview", "Overview", Action::ListRuns),
    ("/secrets", "Secrets", Action::ListSecrets),
    ("/agents", "Agents", Action::ListAgents),
    ("/runs", "Runs", Action::ListRuns),
    ("/requests", "Requests", Action::ListFillRequests),
    ("/keys", "API keys", Action::ListApiKeys),
    ("/members", "Members", Action::ListMembers),
    ("/audit", "Audit", Action::ListEvents),
    ("/settings", "Settings", Action::ReadTeam),
];

/// A page of the desk.
pub(crate) fn page(desk: &Desk, visit: &Visit, title: &str, content: &Markup) -> Response {
    let body = html! {
        header {
            (brand(&|path| desk.to(path), "/overview"))
            nav.menu aria-label="Main" {
                @for (path, name, action) in MENU {
                    @if visit.may_ever(action) {
                        @let here = visit.path == path || visit.path.starts_with(&format!("{path}/"));
                        a href=(desk.to(path)) aria-current=[here.then_some("page")] { (name) }
                    }
                }
                a href=(desk.to("/docs")) { "Docs" }
            }
            (person(desk, visit))
        }
        main.desk #content tabindex="-1" {
            @if let Some(notice) = visit.done.as_deref().and_then(parts::notice) {
                p.notice role="status" { (notice) }
            }
            (content)
        }
    };
    Html(whole(&|path| desk.to(path), title, true, &body).into_string()).into_response()
}

/// Who is here, and the way out.
fn person(desk: &Desk, visit: &Visit) -> Markup {
    let here = visit.path.starts_with("/account");
    html! {
        div.person {
            a href=(desk.to("/account")) aria-current=[here.then_some("page")] {
                (visit.member.user.name) " · " (visit.team.name)
            }
            form method="post" action=(desk.to("/sign-out")) {
                (parts::token(&visit.form))
                button.plain type="submit" { "Sign out" }
            }
        }
    }
}
