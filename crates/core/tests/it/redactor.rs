//! Values are hidden without a change of any length; parts of something may begin and
//! end within one; finders find what redactors hide.

use proptest::prelude::*;
use strongroom_core::scanner::{Redactor, Scanner};

const TOKEN: &str = "sk_live_51Hx9vQ2mZ";

fn scanner(values: &[&str]) -> Scanner {
    Scanner::new(values.iter().map(|value| value.as_bytes()))
}

fn pieces<'a>(
    mut redactor: Redactor,
    hidden_from: usize,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> String {
    let mut output = Vec::new();
    for piece in pieces {
        let mut rest = Vec::new();
        let passed = redactor.pass(piece, &mut rest);
        output.extend_from_slice(&piece[..passed]);
        output.extend(rest);
    }
    redactor.release(hidden_from, &mut output);
    assert_eq!(redactor.held(), 0);
    String::from_utf8(output).unwrap()
}

/// What leaves of a part, however it is cut.
fn part(scanner: &Scanner, text: &str) -> String {
    let redacted = |cut: usize| {
        let (one, other) = text.as_bytes().split_at(cut);
        pieces(scanner.redactor_of_part(), 4, [one, other])
    };
    let output = redacted(0);
    (1..=text.len()).for_each(|cut| assert_eq!(redacted(cut), output, "cut at {cut}: {text}"));
    assert_eq!(pieces(scanner.redactor_of_part(), 4, text.as_bytes().chunks(1)), output);
    output
}

#[test]
fn lengths_stay() {
    let scanner = scanner(&[TOKEN, "9vQ2mZ-and-more"]);
    let redacted = |text: &str| pieces(scanner.redactor(), usize::MAX, [text.as_bytes()]);
    assert_eq!(redacted(&format!("a {TOKEN} b")), format!("a {} b", "*".repeat(TOKEN.len())));
    assert_eq!(redacted("sk_live_51Hx9vQ2mZ-and-more!"), format!("{}!", "*".repeat(27)));
    assert_eq!(redacted("sk_live_51Hx9vQ2m"), "sk_live_51Hx9vQ2m");
}

#[test]
fn what_is_late_leaves_as_stars_once_it_is_no_chance() {
    let scanner = scanner(&[TOKEN]);
    let (mut redactor, mut output) = (scanner.redactor(), Vec::new());
    for byte in TOKEN.as_bytes().chunks(1) {
        redactor.push(byte, &mut output);
        redactor.release(8, &mut output);
    }
    assert_eq!(output, format!("{}{}", &TOKEN[..7], "*".repeat(TOKEN.len() - 7)).as_bytes());
    redactor.push(b"sk_", &mut output);
    assert_eq!((redactor.held(), redactor.begun()), (3, 3));
}

#[test]
fn a_part_may_begin_or_end_within_a_value() {
    let scanner = scanner(&[TOKEN, "sk_test_another"]);
    assert_eq!(part(&scanner, "9vQ2mZ, and sk_li"), "******, and *****");
    assert_eq!(part(&scanner, "51Hx9v"), "******", "all of it within");
    assert_eq!(part(&scanner, "mZ, and sk_"), "mZ, and sk_", "by chance");
    assert_eq!(part(&scanner, "other thing"), "***** thing");
    assert_eq!(part(&scanner, ""), "");
    assert_eq!(part(&scanner, TOKEN), "*".repeat(TOKEN.len()));
    assert_eq!(part(&scanner, "something else"), "something else");
    assert_eq!(part(&self::scanner(&["aaaaaaaaab"]), "aaaaaaac"), "aaaaaaac");
    assert_eq!(part(&self::scanner(&["aaaaaaaaab"]), "aaaabaaaab"), "*****aaaab");
}

#[test]
fn finders_find_and_names_have_no_case() {
    let scanner = scanner(&[TOKEN]);
    assert!(scanner.finds(b"x sk_live_51Hx9vQ2mZ"));
    assert!(!scanner.finds(b"x sk_live_51hx9vq2mz"));
    assert!(scanner.finds_in_any_case(b"x-sk_live_51hx9vq2mz"));
    assert!(!scanner.finds_in_any_case(b"x-sk_live_51hx9vq2m"));
    let mut finder = scanner.finder();
    let found: Vec<bool> = TOKEN.as_bytes().chunks(6).map(|piece| finder.push(piece)).collect();
    assert_eq!(found, [false, false, true]);
    assert!(finder.push(b"and stays so"));
    assert!(!scanner.is_empty());
    assert!(self::scanner(&["short"]).is_empty());
    assert_eq!(pieces(self::scanner(&[]).redactor_of_part(), 4, [&b"as it is"[..]]), "as it is");
}

proptest! {
    #[test]
    fn what_leaves_is_as_long_and_the_same_however_it_is_cut(
        values in prop::collection::vec("[ab]{8,12}", 1..4),
        text in "[ab]{0,60}|[a-c]{0,60}",
        cuts in prop::collection::vec(0..9_usize, 0..20),
        is_part in any::<bool>(),
    ) {
        let scanner = Scanner::new(values.iter().map(String::as_bytes));
        let redactor = || if is_part { scanner.redactor_of_part() } else { scanner.redactor() };
        let whole = pieces(redactor(), usize::MAX, [text.as_bytes()]);
        prop_assert_eq!(whole.len(), text.len());
        let (mut rest, mut cut) = (text.as_bytes(), Vec::new());
        for at in &cuts {
            let (piece, after) = rest.split_at((*at).min(rest.len()));
            cut.push(piece);
            rest = after;
        }
        prop_assert_eq!(pieces(redactor(), usize::MAX, cut.into_iter().chain([rest])), whole.as_str());
        prop_assert!(values.iter().all(|value| !whole.contains(value)));
        prop_assert!(whole.bytes().zip(text.bytes()).all(|(left, came)| left == came || left == b'*'));
        prop_assert_eq!(scanner.finds(text.as_bytes()), values.iter().any(|value| text.contains(value)));
    }
}
