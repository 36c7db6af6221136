//! Frames of a WebSocket, as they pass from the origin to the run and back.

use proptest::prelude::*;
use std::time::Duration;
use strongroom_broker::websocket::{Ended, FromOrigin, FromRun};
use strongroom_core::scanner::Scanner;

const TOKEN: &str = "sk_live_51Hx9vQ2mZ";

/// The low bits of a frame's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    More = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// A frame with the shortest head.
pub(crate) fn frame(opcode: Opcode, is_final: bool, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![opcode as u8 | if is_final { 0x80 } else { 0 }];
    match payload.len() {
        length @ 0..126 => frame.push(masked | u8::try_from(length).unwrap()),
        length @ 126..65_536 => {
            frame.push(masked + 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(masked + 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask.iter().flatten());
    let mask = mask.unwrap_or_default();
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The payloads of unmasked frames, those of control frames only when there are no
/// others.
pub(crate) fn payloads(mut bytes: &[u8]) -> Vec<u8> {
    let (mut data, mut control) = (Vec::new(), Vec::new());
    while let [first, second, rest @ ..] = bytes {
        let (length, rest) = match second {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (usize::try_from(u64::from_be_bytes(rest[..8].try_into().unwrap())).unwrap(), &rest[8..]),
            length => (usize::from(*length), rest),
        };
        let to = if first & 8 == 0 { &mut data } else { &mut control };
        to.extend_from_slice(&rest[..length]);
        bytes = &rest[length..];
    }
    if data.is_empty() { control } else { data }
}

fn scanner(values: &[&str]) -> Scanner {
    Scanner::new(values.iter().map(|value| value.as_bytes()))
}

fn pushed(origin: &mut FromOrigin, input: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    origin.push(input, &mut output).unwrap();
    output
}

#[test]
fn what_may_be_a_value_waits_and_is_let_go() {
    let mut origin = FromOrigin::new(&scanner(&[TOKEN]));
    let (sk, ping) = (frame(Opcode::Text, true, None, b"a sk"), frame(Opcode::Ping, true, None, b"?"));
    assert_eq!(pushed(&mut origin, &sk), sk[..4]);
    assert_eq!(origin.patience(), Some(Duration::from_millis(20)));
    assert_eq!(pushed(&mut origin, &ping), b"");
    let mut output = Vec::new();
    origin.flush(&mut output);
    assert_eq!(output, [&sk[4..], &ping].concat());
    assert!(!origin.holds());
    // From eight bytes on it is hidden.
    let more = frame(Opcode::Text, true, None, b"sk_live_5");
    assert_eq!(pushed(&mut origin, &more), more[..2]);
    assert_eq!(origin.patience(), Some(Duration::from_secs(1)));
    output.clear();
    origin.flush(&mut output);
    assert_eq!(output, b"*********");
}

#[test]
fn frames_of_any_size_pass() {
    let mut origin = FromOrigin::new(&scanner(&[TOKEN]));
    let head = [0x82, 127, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
    assert_eq!(pushed(&mut origin, &head), head);
    for _ in 0..100 {
        assert_eq!(pushed(&mut origin, &[7; 10_000]), [7; 10_000]);
    }
    let mut run = FromRun::new(&scanner(&[TOKEN]));
    let mut output = Vec::new();
    run.push(&[0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], &mut output).unwrap();
    run.push(&[1; 10_004], &mut output).unwrap();
    assert_eq!(output.len(), 10_014);
}

#[test]
fn little_waits_behind_what_may_be_a_value() {
    let mut origin = FromOrigin::new(&scanner(&[TOKEN]));
    let held = frame(Opcode::Text, true, None, b"sk_");
    let mut output = pushed(&mut origin, &held);
    assert_eq!(output, held[..2]);
    for _ in 0..2_000 {
        output.extend(pushed(&mut origin, &frame(Opcode::Ping, true, None, b"1")));
    }
    assert!(output.starts_with(&held) && output.len() > 2_000);
}

#[test]
fn broken_frames_end_it() {
    let cases: [(&[u8], Ended); 9] = [
        (&[0xC1, 0], Ended::Extension),
        (&[0xA1], Ended::Extension),
        (&[0x91, 0], Ended::Extension),
        (&[0x83, 0], Ended::Malformed),
        (&[0x8B, 0], Ended::Malformed),
        (&[0x09, 0], Ended::Malformed),
        (&[0x89, 126, 0, 126], Ended::Malformed),
        (&[0x80, 0], Ended::Malformed),
        (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], Ended::Malformed),
    ];
    for (bytes, ended) in cases {
        let mut origin = FromOrigin::new(&scanner(&[TOKEN]));
        assert_eq!(origin.push(bytes, &mut Vec::new()), Err(ended), "{bytes:?}");
    }
    let text = |mask| frame(Opcode::Text, false, mask, b"hello");
    let mask = Some([1, 2, 3, 4]);
    let mut origin = FromOrigin::new(&scanner(&[TOKEN]));
    assert_eq!(origin.push(&text(mask), &mut Vec::new()), Err(Ended::Malformed), "masked");
    let mut run = FromRun::new(&scanner(&[TOKEN]));
    assert_eq!(run.push(&text(None), &mut Vec::new()), Err(Ended::Malformed), "not masked");
    let mut run = FromRun::new(&scanner(&[TOKEN]));
    run.push(&text(mask), &mut Vec::new()).unwrap();
    assert_eq!(run.push(&text(mask), &mut Vec::new()), Err(Ended::Malformed), "within a message");
}

#[test]
fn placeholders_are_refused_wherever_they_are() {
    let placeholder = "srp_0123456789abcdefghij";
    let masked =
        |opcode, is_final, payload: &[u8]| frame(opcode, is_final, Some([0x5A, 0, 0xFF, 3]), payload);
    let (one, two) = placeholder.as_bytes().split_at(9);
    let cases = [
        masked(Opcode::Text, true, placeholder.as_bytes()),
        masked(Opcode::Binary, true, format!("x{placeholder}x").as_bytes()),
        masked(Opcode::Ping, true, placeholder.as_bytes()),
        masked(Opcode::Close, true, format!("\u{3}\u{7F}{placeholder}").as_bytes()),
        [masked(Opcode::Text, false, one), masked(Opcode::Pong, true, b"x"), masked(Opcode::More, true, two)]
            .concat(),
        [masked(Opcode::Text, true, one), masked(Opcode::Text, true, two)].concat(),
    ];
    for sent in cases {
        for size in 1..=sent.len() {
            let (mut run, mut output) = (FromRun::new(&scanner(&[placeholder])), Vec::new());
            let ended = sent.chunks(size).try_for_each(|piece| run.push(piece, &mut output));
            assert_eq!(ended, Err(Ended::Refused));
            assert!(sent.starts_with(&output) && output.len() < sent.len());
            let (mut run, mut output) = (FromRun::new(&scanner(&["another one"])), Vec::new());
            sent.chunks(size).try_for_each(|piece| run.push(piece, &mut output)).unwrap();
            assert_eq!(output, sent);
        }
    }
}

proptest! {
    #[test]
    fn what_leaves_is_the_same_however_it_is_cut(
        frames in prop::collection::vec((0..3_u8, "[ab]{0,20}|[ab]{120,140}"), 0..6),
        values in prop::collection::vec("[ab]{8,12}", 0..3),
        cuts in prop::collection::vec(1..30_usize, 1..9),
    ) {
        let opcodes = [Opcode::Text, Opcode::Binary, Opcode::Ping];
        let frame = |(opcode, payload): &(u8, String)| match opcodes[usize::from(*opcode)] {
            Opcode::Ping => frame(Opcode::Ping, true, None, &payload.as_bytes()[..payload.len().min(125)]),
            opcode => frame(opcode, true, None, payload.as_bytes()),
        };
        let sent: Vec<u8> = frames.iter().flat_map(frame).collect();
        let scanner = Scanner::new(values.iter().map(String::as_bytes));
        let [whole, cut] = [vec![sent.len().max(1)], cuts].map(|cuts| {
            let (mut origin, mut output, mut rest) = (FromOrigin::new(&scanner), Vec::new(), &sent[..]);
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                origin.push(piece, &mut output).unwrap();
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            origin.flush(&mut output);
            output
        });
        prop_assert_eq!(whole.len(), sent.len());
        prop_assert_eq!(&whole, &cut);
        let text = String::from_utf8(payloads(&whole)).unwrap();
        prop_assert!(values.iter().all(|value| !text.contains(value)));
    }
}
