//! What a run asked somebody for through the broker, and what came of it: where the request
//! went and how much was said, never what.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// The most characters of a path that are kept.
pub const MOST_PATH: usize = 512;
/// The most characters of a host: no name is longer.
const MOST_HOST: usize = 253;
/// The most characters of a method that are kept: no name of one that is known is longer.
const MOST_METHOD: usize = 32;

/// A request through the broker. Its stored form is its JSON, and so is what stands of it in
/// the leaves of the audit tree: no field is ever renamed or moved, and one that comes later is
/// left out where it is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requested<'a> {
    /// Which rule of the secret's policy let the value in, counted from 0; `None`: none went in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<u16>,
    /// `https` or `http`.
    #[serde(borrow)]
    pub scheme: Cow<'a, str>,
    /// The host.
    #[serde(borrow)]
    pub host: Cow<'a, str>,
    /// Its port.
    pub port: u16,
    /// The method.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// The path as the run's process asked for it, without the query.
    #[serde(borrow)]
    pub path: Cow<'a, str>,
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
    pub refused: Option<Cow<'a, str>>,
    /// Whether it was over by then. One that takes long is told of when it begins, and again when it
    /// ends.
    pub ended: bool,
}

/// A [`Requested`] in its stored form, of which every byte stands in the event's leaf. A clone is the same text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedText(Arc<str>);

impl Requested<'_> {
    /// As it is stored, with no more of what the process wrote than is kept.
    #[expect(clippy::missing_panics_doc, reason = "it never does")]
    pub fn text(&self) -> RequestedText {
        let bounded = Requested {
            scheme: (&*self.scheme).into(),
            host: kept(&self.host, MOST_HOST).into(),
            method: kept(&self.method, MOST_METHOD).into(),
            path: kept(&self.path, MOST_PATH).into(),
            refused: self.refused.as_deref().map(Cow::from),
            ..*self
        };
        // Most have room in it.
        let mut text = SmallVec::<[u8; 512]>::new();
        #[expect(clippy::expect_used, reason = "no field's writing can fail")]
        serde_json::to_writer(&mut text, &bounded).expect("JSON");
        #[expect(clippy::expect_used, reason = "JSON is UTF-8")]
        RequestedText(std::str::from_utf8(&text).expect("UTF-8").into())
    }
}

impl RequestedText {
    /// From what is stored; `None` when it is no such thing.
    pub fn from_stored(text: &str) -> Option<Self> {
        // It is an object within a line of the audit tree, and stays within that line.
        let fits = text.starts_with('{') && text.bytes().all(|byte| byte >= b' ');
        let is_one = fits && serde_json::from_str::<Requested<'_>>(text).is_ok();
        is_one.then(|| Self(text.into()))
    }

    /// As it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it says.
    #[expect(clippy::missing_panics_doc, reason = "it never does")]
    pub fn read(&self) -> Requested<'_> {
        #[expect(clippy::expect_used, reason = "it was written by one, or was read as one")]
        serde_json::from_str(&self.0).expect("a request")
    }
}

/// What is kept of a text: its first so many characters.
pub fn kept(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = text.char_indices().nth(most).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn least() -> Requested<'static> {
        Requested {
            rule: None,
            scheme: "https".into(),
            host: "api.example.com".into(),
            port: 443,
            method: "GET".into(),
            path: "/v1/\u{e9}\0\"".into(),
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
        assert_eq!(least().text().as_str(), text);
        assert_eq!(RequestedText::from_stored(text).unwrap().read(), least());
        let all = Requested {
            rule: Some(2),
            status: Some(503),
            refused: Some("no_rule".into()),
            ended: true,
            ..least()
        };
        let text = all.text();
        assert!(
            text.as_str().starts_with(r#"{"rule":2,"scheme""#) && text.as_str().contains(r#""status":503"#)
        );
        assert_eq!(RequestedText::from_stored(text.as_str()).unwrap().read(), all);
    }

    #[test]
    fn what_is_no_request_is_not_taken_for_one() {
        let text = least().text().as_str().to_owned();
        for other in [
            text.replace("{\"", "{\"more\":1,\""),
            text.replace("\"port\":443", "\"port\":65536"),
            text.replace("\"ended\":false", ""),
            format!("{text},\"sequence\":1"),
            format!("\n{text}"),
            text.replace("\":443,", "\":443,\n"),
            r#"[null,"https","api.example.com",443,"GET","/v1",null,0,0,3,null,false]"#.to_owned(),
            String::new(),
        ] {
            assert_ne!(other, text);
            assert_eq!(RequestedText::from_stored(&other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_was_stored_is_read(path in ".*", host in ".*", sent: u64, status: Option<u16>) {
            let requested = Requested { host: (&*host).into(), path: (&*path).into(), status, sent, ..least() };
            let text = requested.text();
            prop_assert!(path.starts_with(&*text.read().path) && text.read().path.chars().count() <= MOST_PATH);
            prop_assert_eq!(RequestedText::from_stored(text.as_str()), Some(text.clone()));
            prop_assert_eq!(text.read().text(), text);
        }
    }
}
