//! The frame of every page.

use maud::{DOCTYPE, Markup, html};

use crate::markdown;

/// What is the same on every page.
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
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " · Strongroom" }
                    link rel="icon" href=(self.to("/assets/mark.svg")) type="image/svg+xml";
                    link rel="stylesheet" href=(self.to("/assets/style.css"));
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header {
                        a.brand href=(self.to("/docs")) {
                            img src=(self.to("/assets/mark.svg")) alt="" width="24" height="24";
                            "Strongroom"
                        }
                        a.to-contents href="#contents" { "Contents" }
                    }
                    // The contents come after: on a narrow screen they would fill it.
                    div.columns {
                        main #content tabindex="-1" { (content) }
                        nav.contents #contents aria-label="Documentation" { (self.contents(path)) }
                    }
                }
            }
        }
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
