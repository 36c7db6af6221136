//! Small charts, drawn on the server: a bar a day. A table says the same to who
//! can't see them.

use maud::{Markup, html};
use strongroom_core::Timestamp;
use strongroom_core::store::Days;

use crate::parts;

/// Of the drawing, in its own units.
const HEIGHT: u64 = 60;
const BAR: u64 = 16;
const GAP: u64 = 4;
const DAY: i64 = 24 * 60 * 60 * 1_000;

/// How many there were on each of so many days from the first.
pub(crate) fn days(title: &str, one: &str, counts: &Days, (first, days): (i64, u16)) -> Markup {
    let bars: Vec<(String, u64)> = (0..i64::from(days))
        .map(|at| {
            let count = counts.iter().find(|(day, _)| *day == first + at).map_or(0, |(_, count)| *count);
            (date(first + at), count)
        })
        .collect();
    let most = bars.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let total: u64 = bars.iter().map(|(_, count)| count).sum();
    let width = u64::from(days) * (BAR + GAP);
    html! {
        figure.chart {
            figcaption { (title) " " strong { (total) } " " small { "in " (days) " days" } }
            svg viewBox={ "0 0 " (width) " " (HEIGHT) } role="img" aria-label={ (title) ": " (total) " in " (days) " days" } {
                @for (at, (date, count)) in (0_u64..).zip(&bars) {
                    @let height = bar(*count, most);
                    rect x=(at * (BAR + GAP)) y=(HEIGHT - height) width=(BAR) height=(height) rx="1" class=[(*count == 0).then_some("none")] {
                        title { (date) ": " (parts::count(*count, one)) }
                    }
                }
            }
            details {
                summary { "As a table" }
                table {
                    thead { tr { th { "Day" } th { (title) } } }
                    tbody { @for (date, count) in &bars { tr { th scope="row" { (date) } td { (count) } } } }
                }
            }
        }
    }
}

/// The height of a bar: one that stands for something is seen.
fn bar(count: u64, most: u64) -> u64 {
    if count == 0 { 1 } else { (count * HEIGHT / most).max(3) }
}

/// The date of a day's number.
fn date(day: i64) -> String {
    let text = Timestamp::from_millis(day * DAY).to_string();
    text.get(..10).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_has_its_bar() {
        let drawn = days("Runs", "run", &vec![(20_783, 4), (20_785, 1)], (20_782, 4)).into_string();
        assert_eq!(drawn.matches("<rect").count(), 4);
        for part in ["2026-11-26: 4 runs", "2026-11-27: 0 runs", "2026-11-28: 1 run<", "Runs: 5 in 4 days"] {
            assert!(drawn.contains(part), "{part} is not in {drawn}");
        }
        assert!(drawn.contains("height=\"60\" rx") && drawn.contains("height=\"15\" rx"));
    }

    #[test]
    fn a_little_is_seen_beside_much() {
        assert_eq!((bar(0, 1_000), bar(1, 1_000), bar(1_000, 1_000)), (1, 3, 60));
    }
}
