//! The guides, as they are in the repository: for people as pages, for programs
//! as the Markdown that they are.

use std::borrow::Cow;

/// One document.
pub(crate) struct Guide {
    /// Its file's name, without the ending.
    name: &'static str,
    /// Markdown.
    pub(crate) text: &'static str,
}

macro_rules! guide {
    ($folder:literal, $name:literal) => {
        Guide { name: $name, text: include_str!(concat!("../../../../docs/", $folder, "/", $name, ".md")) }
    };
}

/// In the order in which they are best read.
pub(crate) const GUIDES: [Guide; 17] = [
    guide!("guides", "first-run"),
    guide!("guides", "dashboard"),
    guide!("guides", "command-line"),
    guide!("guides", "fill-requests"),
    guide!("guides", "agent-hosts"),
    guide!("guides", "broker"),
    guide!("guides", "audit"),
    guide!("guides", "tls"),
    guide!("guides", "scale"),
    guide!("guides", "root-keys"),
    guide!("guides", "keys"),
    guide!("guides", "recovery"),
    guide!("concepts", "threat-model"),
    guide!("reference", "configuration"),
    guide!("reference", "cli"),
    guide!("reference", "sealing"),
    guide!("reference", "backup"),
];

impl Guide {
    /// Where it is as a page.
    pub(crate) fn path(&self) -> String {
        format!("/docs/{}", self.name)
    }

    /// Its heading.
    pub(crate) fn title(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches("# ")
    }

    /// Its first sentence.
    pub(crate) fn summary(&self) -> String {
        let paragraphs = self.text.split("\n\n").skip(1);
        let first = paragraphs.map(str::trim).find(|text| !text.starts_with("<!--")).unwrap_or_default();
        let text = first.replace('\n', " ");
        let end = text.find(". ").map_or(text.len(), |end| end + 1);
        text.get(..end).unwrap_or_default().to_owned()
    }
}

/// What a link in a document is here: one to what is served, below `base`, or to
/// another site; none where that isn't served. `kind` is the ending of what it
/// leads to.
pub(crate) fn led<'a>(link: &'a str, kind: &str, base: &str) -> Option<Cow<'a, str>> {
    if link.starts_with('#') || link.starts_with("https://") {
        return Some(link.into());
    }
    served(link, kind).map(|to| format!("{base}{to}").into())
}

/// Where a link leads to, if that is served: documents name one another by their
/// files.
fn served(link: &str, kind: &str) -> Option<String> {
    let (file, part) = link.split_once('#').map_or((link, None), |(file, part)| (file, Some(part)));
    let name = file.rsplit('/').next()?.strip_suffix(".md")?;
    let guide = GUIDES.iter().find(|guide| guide.name == name)?;
    let part = part.map(|part| format!("#{part}")).unwrap_or_default();
    Some(format!("{}{kind}{part}", guide.path()))
}

/// Each as Markdown, by its path.
pub(crate) fn pages(base: &str) -> impl Iterator<Item = (String, String)> {
    GUIDES.iter().map(move |guide| (format!("{}.md", guide.path()), relinked(guide.text, base)))
}

/// The same text, with links to what is served here; the words of the others stay.
fn relinked(text: &str, base: &str) -> String {
    let mut pieces = text.split("](");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (link, rest) = piece.split_once(')').unwrap_or((piece, ""));
        match (led(link, ".md", base), out.rfind('[')) {
            (None, Some(opened)) => {
                out.remove(opened);
                out.push_str(rest);
            }
            (to, _) => out.extend(["](", &to.unwrap_or(Cow::from(link)), ")", rest]),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_what_is_served_and_nowhere_else() {
        assert_eq!(served("../reference/cli.md", "").as_deref(), Some("/docs/cli"));
        assert_eq!(served("tls.md#whom", ".md").as_deref(), Some("/docs/tls.md#whom"));
        assert_eq!(served("../../bench/README.md", ""), None);
        assert_eq!(served("../../deploy/nginx.conf", ""), None);
        assert_eq!(
            relinked("[a](tls.md#b), [`c`](../../x.conf) and [d](#e), [f](https://g)", "/base"),
            "[a](/base/docs/tls.md#b), `c` and [d](#e), [f](https://g)"
        );
    }

    #[test]
    fn each_has_a_title_and_says_in_a_sentence_what_it_is() {
        for guide in GUIDES {
            assert!(!guide.title().is_empty() && !guide.title().contains('#'), "{}", guide.name);
            assert!(guide.summary().ends_with('.'), "{}: {}", guide.name, guide.summary());
        }
    }
}
