//! How a value may stand in a text: every encoding in which it is looked for.
//! Each form is made in memory of its full size at once, so that no copy stays
//! behind, and is erased when dropped.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Of the hexadecimal digits above nine.
#[derive(Clone, Copy)]
enum Case {
    Lower,
    Upper,
}

const CASES: [Case; 2] = [Case::Lower, Case::Upper];

/// What a percent-encoding leaves as it is, besides letters and digits.
struct Percent {
    kept: &'static [u8],
    space: &'static [u8],
}

const PERCENT: [Percent; 5] = [
    // encodeURIComponent.
    Percent { kept: b"-_.!~*'()", space: b"%20" },
    // RFC 3986: Python, Go, Rust.
    Percent { kept: b"-_.~", space: b"%20" },
    // A path: Python's quote.
    Percent { kept: b"-_.~/", space: b"%20" },
    // A form: browsers, Java.
    Percent { kept: b"-_.*", space: b"+" },
    // A form: Python, Go.
    Percent { kept: b"-_.~", space: b"+" },
];

/// What JSON leaves open.
struct Json {
    slash: bool,
    html: bool,
    ascii: bool,
    case: Case,
}

const JSON: [Json; 7] = [
    // serde_json, JSON.stringify.
    Json { slash: false, html: false, ascii: false, case: Case::Lower },
    Json { slash: true, html: false, ascii: false, case: Case::Lower },
    // Python, and PHP, which escapes the slash.
    Json { slash: false, html: false, ascii: true, case: Case::Lower },
    Json { slash: true, html: false, ascii: true, case: Case::Lower },
    Json { slash: false, html: false, ascii: true, case: Case::Upper },
    Json { slash: true, html: false, ascii: true, case: Case::Upper },
    // Go.
    Json { slash: false, html: true, ascii: false, case: Case::Lower },
];

/// What stands for the two quotation marks in HTML.
const HTML: [[&str; 2]; 6] = [
    // PHP, Java, JavaScript.
    ["&quot;", "&#39;"],
    ["&quot;", "&#039;"],
    // Python, Django.
    ["&quot;", "&#x27;"],
    // Go, Jinja.
    ["&#34;", "&#39;"],
    // In an attribute, where the single one is left.
    ["&quot;", "'"],
    // In a text, where both are.
    ["\"", "'"],
];

/// Hands over every form, some more than once, each with the lengths at which
/// it may end: base64 in the middle of a longer text, at its end, and padded.
pub(super) fn each(value: &[u8], mut take: impl FnMut(&[u8], &[usize])) {
    let mut whole = |form: &[u8]| take(form, &[form.len()]);
    whole(value);
    for case in CASES {
        whole(&hex(value, case));
        whole(&percent(value, case, None));
        for kind in &PERCENT {
            whole(&percent(value, case, Some(kind)));
        }
    }
    if let Ok(text) = std::str::from_utf8(value) {
        for kind in &JSON {
            whole(&json(text, kind));
        }
        for quotes in &HTML {
            whole(&html(text, quotes));
        }
    }
    for before in 0..3 {
        base64(value, before, &mut take);
    }
}

fn digit(nibble: u8, case: Case) -> u8 {
    match case {
        _ if nibble < 10 => b'0' + nibble,
        Case::Lower => b'a' + nibble - 10,
        Case::Upper => b'A' + nibble - 10,
    }
}

fn hex(value: &[u8], case: Case) -> Zeroizing<Vec<u8>> {
    let mut form = Zeroizing::new(Vec::with_capacity(2 * value.len()));
    form.extend(value.iter().flat_map(|byte| [digit(byte >> 4, case), digit(byte & 15, case)]));
    form
}

/// With no kind, every byte is encoded.
fn percent(value: &[u8], case: Case, kind: Option<&Percent>) -> Zeroizing<Vec<u8>> {
    let mut form = Zeroizing::new(Vec::with_capacity(3 * value.len()));
    for byte in value {
        match kind {
            Some(kind) if byte.is_ascii_alphanumeric() || kind.kept.contains(byte) => form.push(*byte),
            Some(kind) if *byte == b' ' => form.extend_from_slice(kind.space),
            _ => form.extend([b'%', digit(byte >> 4, case), digit(byte & 15, case)]),
        }
    }
    form
}

fn json(text: &str, kind: &Json) -> Zeroizing<Vec<u8>> {
    let mut form = Zeroizing::new(Vec::with_capacity(6 * text.len()));
    for character in text.chars() {
        match character {
            '"' | '\\' => form.extend([b'\\', u8::try_from(character).unwrap_or_default()]),
            '/' if kind.slash => form.extend(b"\\/"),
            '\n' => form.extend(b"\\n"),
            '\r' => form.extend(b"\\r"),
            '\t' => form.extend(b"\\t"),
            '\u{8}' => form.extend(b"\\b"),
            '\u{c}' => form.extend(b"\\f"),
            _ if kind.escapes(character) => escape(character, kind.case, &mut form),
            _ => form.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    form
}

fn html(text: &str, [double, single]: &[&str; 2]) -> Zeroizing<Vec<u8>> {
    let mut form = Zeroizing::new(Vec::with_capacity(6 * text.len()));
    for character in text.chars() {
        match character {
            '&' => form.extend_from_slice(b"&amp;"),
            '<' => form.extend_from_slice(b"&lt;"),
            '>' => form.extend_from_slice(b"&gt;"),
            '"' => form.extend_from_slice(double.as_bytes()),
            '\'' => form.extend_from_slice(single.as_bytes()),
            _ => form.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    form
}

impl Json {
    fn escapes(&self, character: char) -> bool {
        let html = matches!(character, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
        character < ' ' || (self.ascii && !character.is_ascii()) || (self.html && html)
    }
}

/// `\uXXXX`, twice for what is outside the basic plane.
fn escape(character: char, case: Case, form: &mut Vec<u8>) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        form.extend(b"\\u");
        let [high, low] = unit.to_be_bytes();
        form.extend([high >> 4, high & 15, low >> 4, low & 15].map(|nibble| digit(nibble, case)));
    }
}

/// The value behind this many bytes of a longer text: the characters that hold
/// nothing but the value, then what ends the text.
fn base64(value: &[u8], before: usize, take: &mut impl FnMut(&[u8], &[usize])) {
    let mut text = Zeroizing::new(Vec::with_capacity(before + value.len()));
    text.resize(before, 0);
    text.extend_from_slice(value);
    let mut padded = Zeroizing::new(vec![0; text.len().div_ceil(3) * 4]);
    // The buffer has the size that the encoding has.
    let Ok(length) = STANDARD.encode_slice(&*text, &mut padded) else { return };
    let bits = 8 * text.len();
    let start = (8 * before).div_ceil(6);
    let ends = [bits / 6, bits.div_ceil(6), length].map(|end| end - start);
    let Some(form) = padded.get_mut(start..length) else { return };
    take(form, &ends);
    for character in form.iter_mut() {
        match character {
            b'+' => *character = b'-',
            b'/' => *character = b'_',
            _ => {}
        }
    }
    take(form, &ends);
}
