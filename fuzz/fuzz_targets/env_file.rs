//! A pasted file of values: whatever it holds, what is wrong with it is told
//! without any of it, and where.
#![no_main]

use strongroom_core::env_file;

/// Stands in values alone: what tells of a mistake has no use for it.
const MARK: char = '\u{10fffd}';

libfuzzer_sys::fuzz_target!(|text: &str| {
    let marked: String = text.chars().flat_map(|c| if c == '=' { vec![c, MARK] } else { vec![c] }).collect();
    for text in [text, &marked] {
        match env_file::parse(text) {
            Ok(entries) => assert!(entries.len() <= text.split('\n').count()),
            Err(mistake) => {
                let said = mistake.to_string();
                assert!(!said.contains(MARK), "a piece of a value is in what is told");
                let line = said.strip_prefix("line ").and_then(|rest| rest.split_once(':'));
                let line: usize = line.map(|(line, _)| line).and_then(|line| line.parse().ok()).unwrap();
                assert!((1..=text.split('\n').count()).contains(&line));
            }
        }
    }
});
