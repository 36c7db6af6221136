//! Values in what a program writes, in every encoding and however it is cut:
//! each encoding here is another library's, or written down.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use strongroom_core::SecretValue;
use strongroom_core::scanner::{Masker, Scanner};

const TOKEN: &str = "sk_live_51Hx9vQ2mZ";
const MARKS: &str = "p@ss w/rd\"\\&<'é🔑~!*()+";
const KEY: &str = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\r\n  hkiG9w0BAQEFAASC\nshort\n-----END KEY-----\n";

fn scanner(values: &[&str]) -> Scanner {
    Scanner::new(values.iter().map(|value| value.as_bytes()))
}

/// What leaves when the text comes in these pieces.
fn pieces<'a>(scanner: &Scanner, pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut masker = scanner.masker();
    let mut output = Vec::new();
    pieces.into_iter().for_each(|piece| masker.push(piece, &mut output));
    masker.flush(&mut output);
    assert!(!masker.holds());
    String::from_utf8(output).unwrap()
}

fn whole(scanner: &Scanner, text: &str) -> String {
    pieces(scanner, [text.as_bytes()])
}

/// What leaves, however the text is cut.
fn masked(scanner: &Scanner, text: &str) -> String {
    let output = whole(scanner, text);
    assert_eq!(pieces(scanner, text.as_bytes().chunks(1)), output, "in single bytes: {text}");
    for at in 0..=text.len() {
        let (one, other) = text.as_bytes().split_at(at);
        assert_eq!(pieces(scanner, [one, other]), output, "cut at {at}: {text}");
    }
    output
}

/// What a masker lets go of at once.
fn pushed(masker: &mut Masker, text: &str) -> String {
    let mut output = Vec::new();
    masker.push(text.as_bytes(), &mut output);
    String::from_utf8(output).unwrap()
}

fn flushed(masker: &mut Masker) -> String {
    let mut output = Vec::new();
    masker.flush(&mut output);
    String::from_utf8(output).unwrap()
}

fn hex(value: &str, before: &str) -> String {
    value.bytes().map(|byte| format!("{before}{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Encodes all but these and letters and digits.
fn percent(value: &str, kept: &str) -> String {
    let one = |character: char| match character {
        _ if character.is_ascii_alphanumeric() || kept.contains(character) => character.to_string(),
        _ => hex(character.encode_utf8(&mut [0; 4]), "%").to_uppercase(),
    };
    value.chars().map(one).collect()
}

fn json(value: &str) -> String {
    let quoted = serde_json::to_string(value).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Escapes these as well.
fn unicode(value: &str, escaped: impl Fn(char) -> bool) -> String {
    let escape = |character: char| {
        let units = character.encode_utf16(&mut [0; 2]).to_vec();
        units.iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat()
    };
    let one =
        |character: char| if escaped(character) { escape(character) } else { json(&character.to_string()) };
    value.chars().map(one).collect()
}

/// Escapes what isn't ASCII, with digits in upper case.
fn upper(value: &str) -> String {
    let one = |character: char| match unicode(&character.to_string(), |character| !character.is_ascii()) {
        escape if escape.starts_with("\\u") => escape.to_uppercase().replace('U', "u"),
        other => other,
    };
    value.chars().map(one).collect()
}

fn forms(value: &str) -> Vec<String> {
    let lower = |encoded: &str| {
        let mut parts = encoded.split('%');
        let first = parts.next().unwrap().to_owned();
        parts.fold(first, |text, part| text + "%" + &part[..2].to_lowercase() + &part[2..])
    };
    let (ascii, upper) = (unicode(value, |character| !character.is_ascii()), upper(value));
    let form: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let plus = percent(value, "-_.~ ").replace(' ', "+");
    let mut forms = vec![value.to_owned(), hex(value, ""), hex(value, "").to_uppercase()];
    for encoded in [percent(value, "-_.!~*'()"), percent(value, "-_.~"), percent(value, "-_.~/"), form, plus]
    {
        forms.extend([lower(&encoded), encoded]);
    }
    forms.extend([hex(value, "%"), hex(value, "%").to_uppercase()]);
    forms.extend([json(value), json(value).replace('/', "\\/"), ascii.replace('/', "\\/")]);
    forms.extend([upper.replace('/', "\\/"), upper, ascii]);
    forms.push(unicode(value, |character| "<>&\u{2028}".contains(character)));
    for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        forms.push(engine.encode(value));
    }
    forms
}

#[test]
fn every_form_is_hidden_wherever_it_is_cut() {
    for value in [TOKEN, MARKS, KEY, "12345678", "ééééêêêê", "🔑🔑🔑🔑🔒🔒🔒🔒"] {
        let scanner = scanner(&["another value", value]);
        for form in forms(value) {
            assert_eq!(masked(&scanner, &form), "***");
            // No neighbour is hidden with it.
            assert_eq!(masked(&scanner, &format!("<{form}|{form}>\n")), "<***|***>\n", "{form}");
        }
    }
}

#[test]
fn base64_is_hidden_inside_a_longer_text() {
    for value in [TOKEN, MARKS, KEY, "12345678"] {
        let scanner = scanner(&[value]);
        for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
            for (before, after) in (0..7).flat_map(|before| (0..7).map(move |after| (before, after))) {
                let text = format!("{}{value}{}", &"a?>~k:"[..before], &"~?>a\n{"[..after]);
                let encoded = engine.encode(&text);
                // The characters that hold nothing but bits of the value.
                let start = (8 * before).div_ceil(6);
                let end = if after == 0 { encoded.len() } else { 8 * (before + value.len()) / 6 };
                let expected = format!("{}***{}", &encoded[..start], &encoded[end..]);
                assert_eq!(masked(&scanner, &encoded), expected, "{before} before, {after} after");
            }
        }
    }
}

#[test]
fn lines_are_hidden_on_their_own() {
    let scanner = scanner(&[KEY]);
    for line in ["-----BEGIN KEY-----", "MIIEvQIBADANBgkq", "hkiG9w0BAQEFAASC", "-----END KEY-----"] {
        for form in forms(line) {
            assert_eq!(masked(&scanner, &format!("[{form}]")), "[***]");
        }
    }
    // With other ends of lines and another margin than the value has.
    let reflowed = KEY.replace("  ", "\t").replace(['\r', '\n'], " ");
    assert_eq!(masked(&scanner, &reflowed), "*** ***  \t*** short *** ");
    assert_eq!(masked(&scanner, "short"), "short");
}

#[test]
fn short_values_are_left_alone() {
    let scanner = scanner(&["1234567", "ééééééé", "", "short\n12\n1234567"]);
    for text in ["1234567", "ééééééé", "MTIzNDU2Nw==", "31323334353637"] {
        assert_eq!(masked(&scanner, text), text);
    }
    assert_eq!(masked(&scanner, "short\n12\n1234567"), "***");
}

#[test]
fn without_values_all_is_copied() {
    for scanner in [scanner(&[]), scanner(&["1234567"])] {
        assert_eq!(masked(&scanner, KEY), KEY);
        assert!(!scanner.masker().holds());
    }
}

#[test]
fn another_byte_is_another_text() {
    for value in [TOKEN, MARKS] {
        let scanner = scanner(&[value]);
        for form in forms(value).into_iter().chain([STANDARD.encode(format!("{value}+"))]) {
            let bytes = form.trim_end_matches('=').as_bytes();
            // The last characters of base64 are hidden when they are what ends
            // it, and hold no byte of the value when they are not.
            for at in 0..bytes.len() - 2 {
                let mut other = bytes.to_vec();
                other[at] = if other[at] == b'#' { b'$' } else { b'#' };
                let Ok(other) = String::from_utf8(other) else { continue };
                assert_eq!(whole(&scanner, &other), other);
            }
        }
    }
}

#[test]
fn values_that_meet_are_hidden_together() {
    let scanner = scanner(&["abcdefgh1234", "1234ijklmnop", "cdefgh12", "qrstuvwx"]);
    assert_eq!(masked(&scanner, "<abcdefgh1234ijklmnop>"), "<***>");
    assert_eq!(masked(&scanner, "<abcdefgh1234qrstuvwxqrstuvwx>"), "<***>");
    assert_eq!(masked(&scanner, "<abcdefgh123>"), "<ab***3>");
    assert_eq!(masked(&scanner, "<abcdefgh1234ijklmno>"), "<***ijklmno>");
    assert_eq!(masked(&scanner, "<bcdefgh1234ijklmnop>"), "<b***>");
}

#[test]
fn values_that_begin_with_others() {
    let scanner = scanner(&["password", "password1234", "password12345678"]);
    assert_eq!(masked(&scanner, "password!"), "***!");
    assert_eq!(masked(&scanner, "password123!"), "***123!");
    assert_eq!(masked(&scanner, "password1234567!"), "***567!");
    assert_eq!(masked(&scanner, "password12345678!"), "***!");
    assert_eq!(masked(&scanner, "passwordpassword1234"), "***");
}

#[test]
fn no_more_is_held_than_a_value_begins_with() {
    let scanner = scanner(&["hunter2!", "hunter2!and more"]);
    let mut masker = scanner.masker();
    assert_eq!(pushed(&mut masker, "login: "), "login: ");
    assert!(!masker.holds());
    assert_eq!(pushed(&mut masker, "what a hunt"), "what a ");
    assert!(masker.holds());
    assert_eq!(pushed(&mut masker, "hun"), "hunt");
    assert_eq!(pushed(&mut masker, "dred"), "hundred");
    assert!(!masker.holds());
    // A hit is out at once; what may still belong to a longer one waits.
    assert_eq!(pushed(&mut masker, "hunter2!"), "***");
    assert!(!masker.holds());
    assert_eq!(pushed(&mut masker, "and"), "");
    assert!(masker.holds());
    assert_eq!(pushed(&mut masker, "?"), "and?");
}

#[test]
fn a_flush_lets_go_and_the_rest_is_still_hidden() {
    let scanner = scanner(&["correct horse battery", "horse battery staple", "horse ba"]);
    let mut masker = scanner.masker();
    assert_eq!(pushed(&mut masker, "a correct"), "a ");
    assert_eq!(flushed(&mut masker), "correct");
    assert!(!masker.holds());
    assert_eq!(flushed(&mut masker), "");
    assert_eq!(pushed(&mut masker, " horse batt"), "");
    // Of the two that are open, the shorter one within them is all there.
    assert_eq!(flushed(&mut masker), " ***tt");
    assert_eq!(pushed(&mut masker, "ery"), "***");
    assert_eq!(pushed(&mut masker, " staple, "), ", ");
    assert_eq!(pushed(&mut masker, "horse battery staple"), "***");
}

#[test]
fn a_flush_hides_what_is_whole() {
    let scanner = scanner(&["<abcdefghij, and more>", "abcdefgh", "bcdefghi", "j, and more>"]);
    let mut masker = scanner.masker();
    assert_eq!(pushed(&mut masker, "<abcdefghij, and"), "");
    assert_eq!(flushed(&mut masker), "<***j, and");
    assert_eq!(pushed(&mut masker, " less"), " less");
}

#[test]
fn the_longest_value_is_hidden() {
    let value: String = (10_000..)
        .flat_map(|number: u32| number.to_string().into_bytes())
        .map(char::from)
        .take(SecretValue::MAX)
        .collect();
    let scanner = scanner(&[&value]);
    let text = format!("<{value}{}{}>", &value[1..], STANDARD.encode(&value));
    let expected = format!("<***{}***>", &value[1..]);
    for size in [7, 4096, text.len()] {
        assert!(pieces(&scanner, text.as_bytes().chunks(size)) == expected, "in pieces of {size}");
    }
}

#[test]
fn a_value_that_repeats_itself_is_hidden() {
    let value = "x".repeat(8192);
    let scanner = scanner(&[&value]);
    let text = format!("<{}>{value}{value}y{}", &value[1..], &value[1..]);
    let expected = format!("<{}>***y{}", &value[1..], &value[1..]);
    for size in [1, 1000, text.len()] {
        assert!(pieces(&scanner, text.as_bytes().chunks(size)) == expected, "in pieces of {size}");
    }
}

#[test]
fn bytes_that_are_no_text_pass() {
    let (value, scanner) = (b"\xff\xfe\xfdabcdefgh", Scanner::new([&b"\xff\xfe\xfdabcdefgh"[..]]));
    let mut output = Vec::new();
    scanner.masker().push(&[&[0, 0xff], &value[..], &[0xff, 0]].concat(), &mut output);
    assert_eq!(output, b"\0\xff***\xff\0");
}

#[test]
fn a_scanner_serves_every_thread() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Scanner>();
    shared::<Masker>();
}

proptest! {
    #[test]
    fn no_value_is_left_however_it_is_cut(
        values in prop::collection::vec("[^*]{8,40}", 1..5),
        parts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "\\PC{0,5}"), 0..8),
        cuts in prop::collection::vec(0..60_usize, 0..20),
    ) {
        let scanner = Scanner::new(values.iter().map(String::as_bytes));
        let part = |(value, form, between): &(prop::sample::Index, prop::sample::Index, String)| {
            form.get(&forms(value.get::<String>(&values))).clone() + between
        };
        let text: String = parts.iter().map(part).collect();
        let output = whole(&scanner, &text);
        let (mut rest, mut cut) = (text.as_bytes(), Vec::new());
        for at in &cuts {
            let (piece, after) = rest.split_at((*at).min(rest.len()));
            cut.push(piece);
            rest = after;
        }
        prop_assert_eq!(pieces(&scanner, cut.into_iter().chain([rest])), output.as_str());
        prop_assert_eq!(pieces(&scanner, text.as_bytes().chunks(1)), output.as_str());
        for form in values.iter().flat_map(|value| forms(value)) {
            prop_assert!(!output.contains(&form));
        }
    }
}

#[test]
fn what_is_concealed_hides_the_rest_with_it() {
    let scanner = Scanner::new([b"correct-horse-battery".as_slice()]);
    let mut masker = scanner.masker();
    let concealed = |masker: &mut Masker| {
        let mut output = Vec::new();
        masker.conceal(&mut output);
        String::from_utf8(output).unwrap()
    };
    assert_eq!(concealed(&mut masker), "", "nothing is held");
    assert_eq!(pushed(&mut masker, "a correct-horse"), "a ");
    assert_eq!((masker.begun(), concealed(&mut masker).as_str()), (13, "***"));
    assert_eq!((masker.holds(), concealed(&mut masker).as_str()), (false, ""), "it is gone");
    assert_eq!(pushed(&mut masker, "-battery staple"), " staple", "one mask for all of it");
    // Something else, after all: what follows is seen.
    assert_eq!(pushed(&mut masker, ", correct-horse"), ", ");
    assert_eq!(concealed(&mut masker), "***");
    assert_eq!(pushed(&mut masker, "radish "), "radish ");
}

#[test]
fn a_scheme_tells_nothing_of_a_url() {
    let scanner = Scanner::new([b"https://user:7f3a1c0b2d4e@example.com".as_slice()]);
    for (text, begun) in [("http", 4), ("https:/", 7), ("https://", 0), ("see https://user:7f3a", 9)] {
        let mut masker = scanner.masker();
        pushed(&mut masker, text);
        assert_eq!(masker.begun(), begun, "{text}");
    }
}
