//! The masker: whatever the values, the text and the pieces, what leaves is
//! the same and holds no value; flushes lose nothing.
#![no_main]

use strongroom_core::scanner::Scanner;

/// Which value, from where, how much of it, and how it is written.
type Part = (u8, u8, u8, u8);

libfuzzer_sys::fuzz_target!(|input: (Vec<Vec<u8>>, Vec<Part>, Vec<u8>)| {
    let (values, parts, cuts) = input;
    let scanner = Scanner::new(values.iter().map(Vec::as_slice));
    let text: Vec<u8> = parts.iter().flat_map(|part| written(&values, *part)).collect();

    let whole = masked(&scanner, &text, &[], false);
    assert_eq!(masked(&scanner, &text, &cuts, false), whole);
    assert_eq!(masked(&scanner, &text, &vec![1; text.len()], false), whole);
    // The mask itself may be part of a value.
    for value in values.iter().filter(|value| is_long(value) && !value.contains(&b'*')) {
        assert!(!whole.windows(value.len()).any(|window| window == value));
    }

    let stars = |text: &[u8]| text.iter().filter(|byte| **byte == b'*').count();
    let flushed = masked(&scanner, &text, &cuts, true);
    assert!(flushed.len() - stars(&flushed) >= whole.len() - stars(&whole));
    if !values.iter().any(|value| is_long(value)) {
        assert_eq!(flushed, text);
    }
});

fn is_long(value: &[u8]) -> bool {
    value.iter().filter(|byte| **byte & 0b1100_0000 != 0b1000_0000).count() >= Scanner::MIN
}

fn written(values: &[Vec<u8>], (which, from, length, how): Part) -> Vec<u8> {
    let Some(value) = values.get(usize::from(which) % (values.len() + 1)) else {
        return vec![from, length, how];
    };
    let part: Vec<u8> = value.iter().copied().skip(usize::from(from)).take(usize::from(length)).collect();
    match how % 4 {
        0 => part.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
        1 => part.iter().flat_map(|byte| format!("%{byte:02X}").into_bytes()).collect(),
        2 => part,
        _ => value.clone(),
    }
}

/// Pushes pieces of these lengths and, if wanted, flushes after each.
fn masked(scanner: &Scanner, text: &[u8], cuts: &[u8], flush: bool) -> Vec<u8> {
    let (mut masker, mut output, mut rest) = (scanner.masker(), Vec::new(), text);
    for cut in cuts {
        let (piece, after) = rest.split_at(usize::from(*cut).min(rest.len()));
        masker.push(piece, &mut output);
        if flush {
            masker.flush(&mut output);
            assert!(!masker.holds());
        }
        rest = after;
    }
    masker.push(rest, &mut output);
    masker.flush(&mut output);
    assert!(!masker.holds());
    output
}
