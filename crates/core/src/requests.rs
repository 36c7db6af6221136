//! What a run asked somebody for through the broker, and what came of it: where the request
//! went and how much was said, never what.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The most characters of a path that are kept.
pub const MOST_PATH: usize = 512;
/// The most characters of a host: no name is longer.
const MOST_HOST: usize = 253;
/// The most characters of a method that are kept.
const MOST_METHOD: usize = 32;

/// A request through the broker. Its stored form is its JSON, and so is what stands of it in
/// the leaves of the audit tree: no field is ever renamed or moved, and one that comes later is
/// left out where it is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requested {
    /// Which rule of the secret's policy let the value in, counted from 0; `None`: none went in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<u16>,
    /// `https` or `http`.
    pub scheme: Cow<'static, str>,
    /// The host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The method.
    pub method: String,
    /// The path as the run's process asked for it, without the query; [`MOST_PATH`] characters of it are kept.
    pub path: String,
    /// The status of the answer; `None`: there was none, or none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Bytes of the request's body.
    pub sent: u64,
    /// Bytes of the answer's body.
    pub received: u64,
    /// How long it took so far, in milliseconds.
    pub millis: u64,
    /// Why the broker refused it, by a stable name; `None`: it didn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Cow<'static, str>>,
    /// Whether it was over by then. One that takes long is told of when it begins, and again when it
    /// ends.
    pub ended: bool,
}

impl Requested {
    /// As it is stored.
    #[expect(clippy::missing_panics_doc, reason = "it never does")]
    pub fn text(&self) -> String {
        #[expect(clippy::expect_used, reason = "no field's writing can fail")]
        serde_json::to_string(self).expect("JSON")
    }

    /// From its stored form; `None` when it is none. Each has one form, so that no other text is
    /// taken for it.
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str::<Self>(text).ok().filter(|requested| requested.text() == text)
    }

    /// The same, with no more of what the process wrote than is kept.
    pub(crate) fn bounded(mut self) -> Self {
        cut(&mut self.path, MOST_PATH);
        cut(&mut self.host, MOST_HOST);
        cut(&mut self.method, MOST_METHOD);
        self
    }
}

/// Leaves only so many characters.
fn cut(text: &mut String, most: usize) {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn least() -> Requested {
        Requested {
            rule: None,
            scheme: "https".into(),
            host: "api.example.com".to_owned(),
            port: 443,
            method: "GET".to_owned(),
            path: "/v1/\u{e9}\0\"".to_owned(),
            status: None,
            sent: 0,
            received: 0,
            millis: 3,
            refused: None,
            ended: false,
        }
    }

    #[test]
    fn what_is_absent_is_left_out_of_the_stored_form() {
        let text = r#"{"scheme":"https","host":"api.example.com","port":443,"method":"GET","path":"/v1/é\u0000\"","sent":0,"received":0,"millis":3,"ended":false}"#;
        assert_eq!(least().text(), text);
        assert_eq!(Requested::from_text(text), Some(least()));
        let all = Requested {
            rule: Some(2),
            status: Some(503),
            refused: Some("no_rule".into()),
            ended: true,
            ..least()
        };
        assert!(all.text().starts_with(r#"{"rule":2,"scheme""#) && all.text().contains(r#""status":503"#));
        assert_eq!(Requested::from_text(&all.text()), Some(all));
    }

    #[test]
    fn no_other_text_is_taken_for_one() {
        let text = least().text();
        for other in [
            text.replace(':', ": "),
            text.replace("{\"", "{\"rule\":null,\""),
            text.replace("{\"", "{\"more\":1,\""),
            text.replace("\"port\":443", "\"port\":65536"),
            text.replace("/v1", "\\/v1"),
            format!("{text} "),
            String::new(),
        ] {
            assert_ne!(other, text);
            assert_eq!(Requested::from_text(&other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_was_stored_is_read(path in ".*", host in ".*", sent: u64, status: Option<u16>) {
            let requested = Requested { host, path, status, sent, ..least() }.bounded();
            prop_assert!(requested.path.chars().count() <= MOST_PATH);
            prop_assert_eq!(Requested::from_text(&requested.text()), Some(requested));
        }
    }
}
