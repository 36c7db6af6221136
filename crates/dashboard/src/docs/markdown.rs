//! Markdown as HTML: of our own documents and of the API's description. HTML in
//! it is shown, not meant; comments that stand by themselves are left out.

use maud::{Markup, PreEscaped};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use super::guides::led;

/// A text as HTML; `base` stands before the paths of links.
pub(crate) fn rendered(markdown: &str, base: &str) -> Markup {
    let mut events = fit(Parser::new_ext(markdown, Options::ENABLE_TABLES), base);
    name_headings(&mut events);
    let mut out = String::with_capacity(markdown.len() * 3 / 2);
    html::push_html(&mut out, events.into_iter());
    // The writer escapes all text, and `fit` lets no HTML in but its own.
    PreEscaped(out)
}

/// A sentence as HTML, to stand in a line with others.
pub(crate) fn inline(markdown: &str, base: &str) -> Markup {
    let PreEscaped(html) = rendered(markdown, base);
    PreEscaped(html.trim_end().trim_start_matches("<p>").trim_end_matches("</p>").to_owned())
}

/// The pieces of a text, fit for a page: what may be wider than the screen scrolls,
/// also by the keyboard, and links lead to what is served here.
fn fit<'a>(events: impl Iterator<Item = Event<'a>>, base: &str) -> Vec<Event<'a>> {
    let own = |html: &'static str| Event::Html(html.into());
    let (mut fit, mut links) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Html(text) if text.trim_start().starts_with("<!--") => {}
            Event::Html(text) | Event::InlineHtml(text) => fit.push(Event::Text(text)),
            Event::Start(Tag::CodeBlock(_)) => fit.push(own("<pre tabindex=\"0\"><code>")),
            Event::End(TagEnd::CodeBlock) => fit.push(own("</code></pre>\n")),
            Event::Start(Tag::Table(columns)) => {
                fit.push(own("<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Table\">"));
                fit.push(Event::Start(Tag::Table(columns)));
            }
            Event::End(TagEnd::Table) => fit.extend([Event::End(TagEnd::Table), own("</div>\n")]),
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let to = led(&dest_url, "", base).map(|to| CowStr::from(to.into_owned()));
                links.push(to.is_some());
                fit.extend(to.map(|dest_url| Event::Start(Tag::Link { link_type, dest_url, title, id })));
            }
            Event::End(TagEnd::Link) if links.pop() == Some(false) => {}
            other => fit.push(other),
        }
    }
    fit
}

/// Names each heading, for links to it.
fn name_headings(events: &mut [Event<'_>]) {
    let mut words: Option<String> = None;
    for event in events.iter_mut().rev() {
        match event {
            Event::End(TagEnd::Heading(_)) => words = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(words) = &mut words {
                    words.insert_str(0, text);
                }
            }
            Event::Start(Tag::Heading { id, .. }) => {
                *id = words.take().map(|words| CowStr::from(slug(&words)));
            }
            _ => {}
        }
    }
}

/// A heading's name: its letters and digits, as others make it.
pub(crate) fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_shown_and_links_lead_somewhere() {
        let text = "# A `b` c\n\n<b onclick=\"x\">hi</b> <!-- not this -->\n\n<!-- nor this -->\n\n\
                    [cli](../reference/cli.md) [no](../x.md) [bad](javascript:alert) [out](https://example.com)\n";
        assert_eq!(
            rendered(text, "/base").into_string(),
            "<h1 id=\"a-b-c\">A <code>b</code> c</h1>\n\
             <p>&lt;b onclick=\"x\"&gt;hi&lt;/b&gt; &lt;!-- not this --&gt;</p>\n\
             <p><a href=\"/base/docs/cli\">cli</a> no bad <a href=\"https://example.com\">out</a></p>\n"
        );
    }

    #[test]
    fn what_is_wide_can_be_scrolled_by_the_keyboard() {
        let text = "```sh\na <b>\n```\n\n| a |\n|---|\n| b |\n";
        let html = rendered(text, "").into_string();
        assert!(html.starts_with("<pre tabindex=\"0\"><code>a &lt;b&gt;\n</code></pre>\n"), "{html}");
        assert!(html.contains("aria-label=\"Table\"><table>"), "{html}");
    }
}
