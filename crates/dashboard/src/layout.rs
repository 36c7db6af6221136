//! The frame of every page.

use maud::{DOCTYPE, Markup, html};

use crate::guides::GUIDES;
use crate::reference::Reference;

/// What is the same on every page.
pub(crate) struct Frame {
    /// The API's pages: path and name.
    operations: Vec<(String, String)>,
}

impl Frame {
    pub(crate) fn new(reference: &Reference) -> Self {
        let operations = reference.groups().iter().map(|group| (group.path(), group.name.clone())).collect();
        Self { operations }
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
                    link rel="icon" href="/assets/mark.svg" type="image/svg+xml";
                    link rel="stylesheet" href="/assets/style.css";
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header {
                        a.brand href="/docs" {
                            img src="/assets/mark.svg" alt="" width="24" height="24";
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
        let guides = GUIDES.iter().map(|guide| (guide.path(), guide.title().to_owned()));
        let (guides, operations) = (guides.collect::<Vec<_>>(), &self.operations);
        html! {
            @for (heading, links) in [("Guides", &guides), ("API", operations)] {
                h2 { (heading) }
                ul {
                    @for (to, name) in links {
                        li { a href=(to) aria-current=[(to == path).then_some("page")] { (name) } }
                    }
                }
            }
        }
    }
}
