//! Times the masker in memory, beside the same bytes through `cat | cat`, and
//! the building of scanners, each with the memory that it took.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use strongroom_core::scanner::Scanner;

/// The length of most texts, how often each is masked in a round, and in which
/// pieces.
const TEXT: usize = 16 << 20;
const REPEATS: usize = 16;
const PIECE: usize = 64 << 10;
/// Of each figure the median of so many is printed.
const ROUNDS: usize = 7;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Of which scanners are built: a name, how many values, of how many bytes, and
/// in lines of how many.
const BUILT: [(&str, usize, usize, usize); 7] = [
    ("5 values of 40 characters", 5, 40, usize::MAX),
    ("20 values of 200 characters", 20, 200, usize::MAX),
    ("10 values of 40 characters", 10, 40, usize::MAX),
    ("1 value of 64 KiB", 1, 64 << 10, usize::MAX),
    ("16 values of 64 KiB", 16, 64 << 10, usize::MAX),
    ("16 values of 64 KiB in lines of 64", 16, 64 << 10, 64),
    ("16 values of 64 KiB in lines of 8", 16, 64 << 10, 8),
];

/// Prints everything.
pub(crate) fn run() -> Outcome {
    for (values, ..) in BUILT {
        Command::new(std::env::current_exe()?).args(["scanner", values]).status()?;
    }
    let mut random = Random(7);
    let log = random.log();
    let ten = random.values(10, 40);
    mask("no value", &[], &log)?;
    mask("1 value, no hit", ten.get(..1).unwrap_or_default(), &log)?;
    mask("10 values, no hit", &ten, &log)?;
    mask_pieces("10 values, no hit, in pieces of 140 bytes", &ten, &log, 140)?;
    mask("1,000 values, no hit", &random.values(1_000, 40), &log)?;
    mask("64 KiB in lines of 64, no hit", &[random.lines(64 << 10, 64)], &log)?;
    let noise = random.values(1, TEXT).concat().into_bytes();
    mask("10 values, among letters and digits at random", &ten, &noise)?;
    mask("10 values, a hit in 4 KiB", &ten, &with_hits(&log, &ten))?;
    let same = "x".repeat(64 << 10);
    mask("64 KiB of one character, in that character", std::slice::from_ref(&same), same.as_bytes())?;
    cat(&log)
}

/// Builds one in a process of its own, whose memory tells.
pub(crate) fn build(name: &str) -> Outcome {
    let (_, count, length, line) =
        BUILT.into_iter().find(|(built, ..)| *built == name).ok_or("no such values")?;
    let mut random = Random(7);
    let values: Vec<String> = (0..count).map(|_| random.lines(length, line)).collect();
    let before = memory("VmRSS")?;
    let start = Instant::now();
    let scanner = Scanner::new(values.iter().map(String::as_bytes));
    let time = start.elapsed();
    let (after, peak) = (memory("VmRSS")?, memory("VmHWM")?);
    drop(scanner);
    let [after, peak] = [after, peak].map(|kib| kib.saturating_sub(before));
    say(&format!("build: {name}: {time:.1?}, {after} KiB, {peak} KiB at the peak"))
}

/// In KiB.
fn memory(field: &str) -> Result<usize, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(field)).ok_or("no such field")?;
    Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse()?)
}

fn mask(what: &str, values: &[String], text: &[u8]) -> Outcome {
    mask_pieces(what, values, text, PIECE)
}

fn mask_pieces(what: &str, values: &[String], text: &[u8], piece: usize) -> Outcome {
    let scanner = Scanner::new(values.iter().map(String::as_bytes));
    let mut output = Vec::with_capacity(2 * PIECE);
    let round = |_| {
        let start = Instant::now();
        let mut masker = scanner.masker();
        for piece in std::iter::repeat_n(text, REPEATS).flat_map(|text| text.chunks(piece)) {
            output.clear();
            masker.push(piece, &mut output);
            std::hint::black_box(&output);
        }
        Ok(start.elapsed())
    };
    report(&format!("mask: {what}"), text.len(), (0..ROUNDS).map(round).collect())
}

/// From a file in the page cache into nothing, so that one pipe is all that it
/// costs.
fn cat(text: &[u8]) -> Outcome {
    let path = std::env::temp_dir().join(format!("strongroom-bench-{}", std::process::id()));
    std::fs::write(&path, text.repeat(REPEATS))?;
    let round = |_| {
        let start = Instant::now();
        let mut one = Command::new("cat").arg(&path).stdout(Stdio::piped()).spawn()?;
        let pipe = one.stdout.take().map_or_else(Stdio::null, Stdio::from);
        Command::new("cat").stdin(pipe).stdout(Stdio::null()).status()?;
        one.wait()?;
        Ok(start.elapsed())
    };
    let times = (0..ROUNDS).map(round).collect();
    std::fs::remove_file(&path)?;
    report("cat | cat", text.len(), times)
}

fn report(what: &str, length: usize, times: std::io::Result<Vec<Duration>>) -> Outcome {
    let mut times = times?;
    times.sort();
    let median = times.get(ROUNDS / 2).copied().unwrap_or_default().as_secs_f64();
    let kib = f64::from(u32::try_from(length * REPEATS / 1024)?);
    say(&format!("{what}: {:.0} MiB/s", kib / 1024.0 / median))
}

fn say(line: &str) -> Outcome {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// The text with a value in place of what stood there, once in 4 KiB.
fn with_hits(text: &[u8], values: &[String]) -> Vec<u8> {
    let mut text = text.to_vec();
    for (block, value) in text.chunks_mut(4 << 10).zip(values.iter().cycle()) {
        if let Some(place) = block.get_mut(100..100 + value.len()) {
            place.copy_from_slice(value.as_bytes());
        }
    }
    text
}

/// The same values in each run (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn character(&mut self) -> char {
        const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let at = usize::try_from(self.next() % 64).unwrap_or_default();
        CHARACTERS.get(at).copied().map_or('A', char::from)
    }

    fn values(&mut self, count: usize, length: usize) -> Vec<String> {
        (0..count).map(|_| (0..length).map(|_| self.character()).collect()).collect()
    }

    fn lines(&mut self, length: usize, line: usize) -> String {
        let mut lines: String = (0..length).map(|_| self.character()).collect();
        for end in (line..length).step_by(line.saturating_add(1)) {
            lines.replace_range(end..=end, "\n");
        }
        lines
    }

    /// What a server writes.
    fn log(&mut self) -> Vec<u8> {
        let mut log = Vec::new();
        while log.len() < TEXT {
            let line = format!(
                "2026-11-07T05:31:{:02}.{:03}Z INFO request{{method=GET path=/v2/orders/{} status=200}}: finished \
                 in {} us, \"client\": \"10.0.{}.{}\", trace {:016x}\n",
                self.next() % 60,
                self.next() % 1000,
                self.next() % 100_000,
                self.next() % 5000,
                self.next() % 256,
                self.next() % 256,
                self.next(),
            );
            log.extend_from_slice(line.as_bytes());
        }
        log
    }
}
