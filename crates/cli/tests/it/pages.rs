//! The pages as a browser without scripts sees them, and the links by which people
//! come to sign in.

use std::fs;
use std::path::PathBuf;

use crate::harness::{Place, Server, clean, run};

/// Somebody with a browser.
pub(crate) struct Visitor {
    url: String,
    cookies: PathBuf,
    /// The page that they look at.
    pub(crate) page: String,
}

impl Visitor {
    pub(crate) fn new(place: &Place, server: &Server) -> Self {
        Self {
            url: format!("http://{}", server.address),
            cookies: place.path("cookies"),
            page: String::new(),
        }
    }

    fn ask(&mut self, path: &str, args: &[&str]) -> u16 {
        let path = path.strip_prefix(&self.url).unwrap_or(path);
        let mut curl = clean("curl");
        curl.args(["--silent", "--max-time", "20", "--write-out", "\n%{http_code}", "--cookie"]);
        curl.arg(&self.cookies).arg("--cookie-jar").arg(&self.cookies);
        let answer = run(curl.args(args).arg(format!("{}{path}", self.url)));
        let (page, status) = answer.done().rsplit_once('\n').unwrap();
        page.clone_into(&mut self.page);
        status.parse().unwrap()
    }

    /// Opens a page.
    pub(crate) fn open(&mut self, path: &str) -> u16 {
        self.ask(path, &[])
    }

    /// Fills in a form of the page that is open, and sends it.
    pub(crate) fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> u16 {
        let token = self.found("name=\"form\" value=\"", "\"").unwrap_or_default();
        let filled: Vec<_> = [("form", token.as_str())]
            .iter()
            .chain(fields)
            .flat_map(|(name, value)| ["--data-urlencode".to_owned(), format!("{name}={value}")])
            .collect();
        self.ask(path, &filled.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// What stands on the page between these.
    pub(crate) fn found(&self, before: &str, after: &str) -> Option<String> {
        let (_, rest) = self.page.split_once(before)?;
        rest.split_once(after).map(|(found, _)| found.to_owned())
    }

    /// Comes to sign in by a link of the server's administrator.
    pub(crate) fn set_up(&mut self, link: &str) {
        assert_eq!(self.open(link), 200, "{}", self.page);
        assert_eq!(self.send(link, &[("password", "correct horse battery")]), 303, "{}", self.page);
    }
}

/// A link for the owner.
pub(crate) fn link(place: &Place, server: &Server) -> String {
    let url = format!("http://{}", server.address);
    place.run("setup-link", &["--public-url", &url]).done().trim().to_owned()
}

#[test]
fn a_link_is_good_for_one_setting_up_and_in_no_log() {
    let (place, _) = Place::with_instance();
    let server = place.serve();
    let (first, second) = (link(&place, &server), link(&place, &server));
    let mut visitor = Visitor::new(&place, &server);
    visitor.set_up(&first);
    assert_eq!(visitor.open("/secrets"), 200);
    for used in [&first, &second] {
        assert_eq!(visitor.open(used), 410, "{}", visitor.page);
    }
    // By another the owner comes back in, and whoever was in is out.
    let mut other = Visitor::new(&place, &server);
    other.cookies = place.path("other-cookies");
    other.set_up(&link(&place, &server));
    assert_eq!(other.open("/secrets"), 200);
    assert_eq!(visitor.open("/secrets"), 303, "led to sign in");
    let log = server.stderr.clone();
    server.stop();
    let (log, link) = (fs::read_to_string(log).unwrap(), first.rsplit_once('/').unwrap().1);
    assert!(!log.contains("srl_") && !log.contains(link), "{log}");
}

#[test]
fn a_link_is_for_a_member_who_is_named() {
    let (place, _) = Place::with_instance();
    let nobody = place.run("setup-link", &["--email", "nobody@example.com"]);
    assert!(nobody.refusal().contains("nobody with the address nobody@example.com is a member"));
    assert!(nobody.stderr.contains("hint: name somebody who is with --email"), "{}", nobody.stderr);
    let made = place.run("setup-link", &["--json", "--public-url", "https://secrets.example.com/sub"]);
    let made: serde_json::Value = serde_json::from_str(made.done()).unwrap();
    let url = made["url"].as_str().unwrap();
    assert!(url.starts_with("https://secrets.example.com/sub/setup/srl_"), "{url}");
    assert!(made["expires_at"].as_str().unwrap().ends_with('Z'));
}
