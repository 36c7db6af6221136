//! What the command's environment is made of: the caller's variables without
//! anything of ours, and the run's values on top.

use secrecy::SecretString;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use strongroom_core::EnvKey;
use strongroom_core::tokens::{Token, TokenKind};

use super::names::takes_code;
use crate::failure::Failure;

/// What the variables of ours begin with.
const OURS: &[u8] = b"STRONGROOM_";
/// Tokens that open something. A placeholder opens nothing outside its run.
const TOKENS: [TokenKind; 4] = [TokenKind::ApiKey, TokenKind::Run, TokenKind::Broker, TokenKind::Link];

/// The values of a run, by their names.
pub(super) type Values = Vec<(EnvKey, SecretString)>;

/// The values that are handed on.
///
/// # Errors
/// When one that is wanted isn't there, or one is there whose name makes
/// programs run code.
pub(super) fn chosen(values: Values, only: &[EnvKey], allowed: &[EnvKey]) -> Result<Values, Failure> {
    let absent: Vec<_> = only.iter().filter(|key| !values.iter().any(|(name, _)| name == *key)).collect();
    if !absent.is_empty() {
        return Err(missing(&absent, &values));
    }
    let wanted = |name: &EnvKey| only.is_empty() || only.contains(name);
    let values: Values = values.into_iter().filter(|(name, _)| wanted(name)).collect();
    let names = values.iter().map(|(name, _)| name);
    let refused: Vec<_> = names.filter(|name| takes_code(name) && !allowed.contains(name)).collect();
    if refused.is_empty() { Ok(values) } else { Err(risky(&refused)) }
}

fn missing(absent: &[&EnvKey], values: &Values) -> Failure {
    let there: Vec<_> = values.iter().map(|(name, _)| name).collect();
    let there = if there.is_empty() { "nothing".to_owned() } else { list(&there, ", ") };
    Failure::new(format!("the run's environment has no {}", list(absent, ", ")))
        .hint(format!("it has {there}; attach a secret that has it, or leave it out of --only"))
}

fn risky(refused: &[&EnvKey]) -> Failure {
    Failure::new(format!(
        "the run's environment has {}, from which programs take code to run",
        list(refused, ", ")
    ))
    .hint(format!(
        "rename it in its secret, name the others with --only, or, if you know why it is there, add `--allow-env {}`",
        list(refused, " ")
    ))
}

fn list(names: &[&EnvKey], between: &str) -> String {
    names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(between)
}

/// The caller's variables without ours, and without any that holds a token.
pub(super) fn inherited(
    caller: impl Iterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (OsString, OsString)> {
    caller.filter(|(name, value)| !name.as_bytes().starts_with(OURS) && !holds_token(value))
}

/// Whether a token of ours stands somewhere in a text.
fn holds_token(text: &OsStr) -> bool {
    let windows = text.as_bytes().windows(Token::LENGTH);
    windows.filter_map(|window| std::str::from_utf8(window).ok()).any(|window| {
        window.starts_with("sr") && TOKENS.iter().any(|kind| Token::parse(*kind, window).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_core::OsRandom;
    use uuid::Uuid;

    fn key(name: &str) -> EnvKey {
        EnvKey::parse(name).unwrap()
    }

    fn keys(names: &str) -> Vec<EnvKey> {
        names.split_whitespace().map(key).collect()
    }

    fn chosen_names(values: &str, only: &str, allowed: &str) -> Result<String, Failure> {
        let values = keys(values).into_iter().map(|name| (name, SecretString::from("canary"))).collect();
        let chosen = chosen(values, &keys(only), &keys(allowed))?;
        Ok(chosen.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn all_or_what_is_named_is_handed_on() {
        assert_eq!(chosen_names("B A C", "", "").unwrap(), "B A C");
        assert_eq!(chosen_names("B A C", "C B", "").unwrap(), "B C");
        assert_eq!(chosen_names("", "", "").unwrap(), "");
        let absent = chosen_names("B A", "A X Y", "").unwrap_err();
        assert_eq!(absent.message(), "the run's environment has no X, Y");
        assert!(absent.remedy().unwrap().starts_with("it has B, A;"));
    }

    #[test]
    fn names_that_make_programs_run_code_are_refused() {
        let refused = chosen_names("A LD_PRELOAD PATH STRONGROOM_URL", "", "PATH").unwrap_err();
        assert!(refused.message().contains("has LD_PRELOAD, STRONGROOM_URL, from"), "{}", refused.message());
        assert!(refused.remedy().unwrap().contains("`--allow-env LD_PRELOAD STRONGROOM_URL`"));
        assert_eq!(chosen_names("A PATH", "", "PATH").unwrap(), "A PATH");
        assert_eq!(chosen_names("A PATH", "A", "").unwrap(), "A", "what isn't handed on does no harm");
    }

    #[test]
    fn nothing_of_ours_is_inherited() {
        let token = |kind| Token::mint(kind, Uuid::from_u128(7), &OsRandom).reveal().to_owned();
        let mut caller = vec![
            ("STRONGROOM_URL".to_owned(), "http://127.0.0.1".to_owned()),
            ("STRONGROOM_NEW".to_owned(), String::new()),
            ("HOME".to_owned(), "/root".to_owned()),
            ("NOT_OURS".to_owned(), "srk_short sr srr_".to_owned()),
            ("STAND_IN".to_owned(), token(TokenKind::Placeholder)),
            ("MISTYPED".to_owned(), format!("x{}", &token(TokenKind::ApiKey)[1..])),
        ];
        for (at, kind) in TOKENS.into_iter().enumerate() {
            caller.push((format!("BARE_{at}"), token(kind)));
            caller.push((format!("WITHIN_{at}"), format!("ä srk_{}a", token(kind))));
        }
        let kept: Vec<_> = inherited(caller.into_iter().map(|(n, v)| (n.into(), v.into()))).collect();
        let names: Vec<_> = kept.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["HOME", "NOT_OURS", "STAND_IN", "MISTYPED"]);
    }

    #[test]
    fn a_token_is_found_beside_bytes_that_are_no_text() {
        let token = Token::mint(TokenKind::Run, Uuid::from_u128(7), &OsRandom);
        let text = [b"\xff\xfe", token.reveal().as_bytes(), b"\xff"].concat();
        assert!(holds_token(OsStr::from_bytes(&text)));
        assert!(!holds_token(OsStr::from_bytes(&text[..text.len() - 2])));
    }
}
