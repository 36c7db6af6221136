//! What is likely wrong with a value or a secret, said without showing any of
//! it: hints for whoever is about to start a run, never a reason to refuse one.

use crate::clock::Timestamp;
use crate::environment::is_received;
use crate::runs::RunMode;
use crate::secrets::Secret;
use crate::values::SecretValue;

/// Days after which a secret that didn't change counts as stale.
pub const STALE_DAYS: i64 = 90;

const DAY: i64 = 24 * 60 * 60 * 1_000;

/// What is noticed of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueHint {
    /// It reads like what stands in an example until somebody fills it in.
    Placeholder,
    /// It begins and ends with the same quote, which programs take as a part of it.
    Quoted,
    /// White space at its beginning or end, or line ends of Windows. The line
    /// end that closes a text of several lines is none.
    Whitespace,
}

impl ValueHint {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Placeholder => "placeholder",
            Self::Quoted => "quoted",
            Self::Whitespace => "whitespace",
        }
    }
}

/// What is noticed of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretHint {
    /// No run ever received it.
    NeverUsed,
    /// There are no values in it.
    Empty,
    /// It didn't change for [`STALE_DAYS`].
    Stale,
    /// It is for the broker only: its values are in no environment.
    BrokerOnly,
}

impl SecretHint {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NeverUsed => "never_used",
            Self::Empty => "empty",
            Self::Stale => "stale",
            Self::BrokerOnly => "broker_only",
        }
    }
}

/// What is noticed of a secret, as of now.
pub fn of_secret(secret: &Secret, used: bool, now: Timestamp) -> Vec<SecretHint> {
    let stale = now.as_millis() - secret.updated_at.as_millis() > STALE_DAYS * DAY;
    let noticed = [
        // What is never delivered was never received, which says nothing.
        (!used && is_received(secret, RunMode::Inject), SecretHint::NeverUsed),
        (secret.env_keys.is_empty(), SecretHint::Empty),
        (stale, SecretHint::Stale),
        (!is_received(secret, RunMode::Inject), SecretHint::BrokerOnly),
    ];
    noticed.into_iter().filter_map(|(is_so, hint)| is_so.then_some(hint)).collect()
}

/// What is noticed of a value.
#[expect(clippy::disallowed_methods, reason = "looks at the shape of a value, and tells the shape only")]
pub fn of_value(value: &SecretValue) -> Vec<ValueHint> {
    let text = value.reveal();
    let noticed = [
        (is_placeholder(text), ValueHint::Placeholder),
        (is_quoted(text.trim()), ValueHint::Quoted),
        (has_stray_space(text), ValueHint::Whitespace),
    ];
    noticed.into_iter().filter_map(|(is_so, hint)| is_so.then_some(hint)).collect()
}

/// Words that stand alone in examples.
const WHOLE: [&str; 14] = [
    "changeme",
    "change-me",
    "change_me",
    "placeholder",
    "todo",
    "tbd",
    "fixme",
    "none",
    "null",
    "undefined",
    "secret",
    "password",
    "example",
    "dummy",
];
/// What the words in examples begin with.
const BEGINNINGS: [&str; 10] =
    ["your-", "your_", "your ", "insert-", "insert_", "insert ", "replace-", "replace_", "enter-", "enter_"];

fn is_placeholder(text: &str) -> bool {
    let text = text.trim().trim_matches(['"', '\'']).to_lowercase();
    let bracketed = |open: &str, close: &str| {
        text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)).is_some_and(|name| {
            !name.is_empty()
                && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | '.'))
        })
    };
    let same = |c: char| text.len() >= 3 && text.chars().all(|other| other == c);
    WHOLE.contains(&text.as_str())
        || BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
        || [("<", ">"), ("${", "}"), ("{{", "}}"), ("[", "]"), ("%", "%")]
            .into_iter()
            .any(|(a, b)| bracketed(a, b))
        || ['x', '*', '.', '-', '0'].into_iter().any(same)
}

fn is_quoted(text: &str) -> bool {
    ['"', '\'', '`']
        .into_iter()
        .any(|quote| text.strip_prefix(quote).is_some_and(|rest| rest.ends_with(quote)))
}

fn has_stray_space(text: &str) -> bool {
    // PEM files and the like end with a line end, and are read with it.
    let closed = text.strip_suffix('\n').filter(|lines| lines.contains('\n')).unwrap_or(text);
    closed.trim() != closed || closed.contains('\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(text: &str) -> Vec<&'static str> {
        let value = SecretValue::parse(text.to_owned()).unwrap();
        of_value(&value).into_iter().map(ValueHint::name).collect()
    }

    #[test]
    fn values_that_look_like_keys_are_left_alone() {
        for good in [
            "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
            "postgres://ada:pass@db.example/app",
            "-----BEGIN KEY-----\nMIIB\n-----END KEY-----\n",
            "1",
            "it's",
            "todo-list-token-93a",
            "eyJhbGciOiJIUzI1NiJ9.e30.x",
            "[::1]:5432/0, [::2]",
            "\"",
        ] {
            assert_eq!(hints(good), [""; 0], "{good}");
        }
    }

    #[test]
    fn traps_are_named() {
        for (trap, named) in [
            ("changeme", &["placeholder"][..]),
            ("CHANGE_ME", &["placeholder"]),
            ("your-api-key", &["placeholder"]),
            ("<token>", &["placeholder"]),
            ("${API_KEY}", &["placeholder"]),
            ("{{ api_key }}", &["placeholder"]),
            ("xxxxxxxx", &["placeholder"]),
            ("\"changeme\"", &["placeholder", "quoted"]),
            ("'4eC39HqLyjWD'", &["quoted"]),
            ("4eC39HqLyjWD\n", &["whitespace"]),
            (" 4eC39HqLyjWD", &["whitespace"]),
            ("\u{a0}4eC39HqLyjWD", &["whitespace"]),
            ("one\r\ntwo\r\n", &["whitespace"]),
            ("one\ntwo\n\n", &["whitespace"]),
        ] {
            assert_eq!(hints(trap), named, "{trap:?}");
        }
    }
}
