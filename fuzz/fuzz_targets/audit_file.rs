//! An exported audit from a stranger: what is not refused has as many leaves as its head
//! says, and a change of any of its events is found.
#![no_main]

use strongroom_core::audit::file::{Checker, Proven, Tampered};

fn checked<'a>(mut lines: impl Iterator<Item = &'a str>) -> Result<Proven, Tampered> {
    let mut checker = Checker::new(Vec::new(), Vec::new());
    lines.try_for_each(|line| checker.line(line))?;
    checker.finish()
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(proven) = checked(text.lines()) else { return };
    assert!(!proven.is_signed);
    assert_eq!(proven.events + proven.skipped, proven.head.size);
    for at in 0..text.lines().count() {
        let mut changed: Vec<_> = text.lines().map(str::to_owned).collect();
        changed[at].push(' ');
        if changed[at].starts_with("{\"sequence\":") {
            assert!(checked(changed.iter().map(String::as_str)).is_err());
        }
    }
});
