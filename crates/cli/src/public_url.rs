//! Where clients find the server, as its operator says: what links and
//! examples begin with, in place of the address that it listens on.

use reqwest::Url;
use std::fmt;

/// A URL that paths of the API are put behind; without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicUrl(String);

impl PublicUrl {
    /// Takes `https://` or `http://`, a host, perhaps a port and a path.
    ///
    /// # Errors
    /// When it is anything else; the message never quotes it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "must be a URL such as https://strongroom.example";
        let url = Url::parse(text).map_err(|_| WRONG)?;
        let named = matches!(url.scheme(), "https" | "http") && url.has_host();
        let alone = url.username().is_empty() && url.password().is_none();
        if !named || !alone || url.query().is_some() || url.fragment().is_some() {
            return Err(WRONG);
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_and_perhaps_a_path_and_nothing_else() {
        for (text, kept) in [
            ("https://a.example", "https://a.example"),
            ("HTTPS://A.example:443/", "https://a.example"),
            ("http://10.0.0.1:8700/sub/", "http://10.0.0.1:8700/sub"),
        ] {
            assert_eq!(PublicUrl::parse(text).unwrap().to_string(), kept);
        }
        for bad in [
            "",
            "a.example",
            "ftp://a.example",
            "https://u:p@a.example",
            "https://a.example/?x",
            "https://a.example/#x",
        ] {
            assert!(PublicUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
