//! `strongroom audit export`: the record as a file that proves itself. Nothing of it is
//! under the file's name before all is there.

use indicatif::ProgressBar;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use strongroom_core::App;
use strongroom_core::audit::Broken;

use super::held;
use crate::cli::audit::Export;
use crate::client::{Answer, Client, Request, strange};
use crate::failure::Failure;
use crate::output;
use crate::partial::Partial;

/// The most heads that a server lets a file be compared with.
const MOST_HELD: usize = 16;

pub(super) async fn run(args: &Export) -> Result<(), Failure> {
    let sizes: Vec<_> =
        held::newest(&args.held.checkpoint)?.iter().map(|held| held.head.unverified().size).collect();
    if sizes.len() > MOST_HELD {
        return Err(Failure::new(format!("{} heads are too many for one file", sizes.len()))
            .hint(format!("name {MOST_HELD} at most; a later one proves what those before it do")));
    }
    let app = super::opened(&args.itself, &args.client.server, args.client.team).await?;
    let mut sink = Sink::open(&args.out, args.force)?;
    let written = match app {
        Some(app) => from_instance(&app, args, sizes, &mut sink).await,
        None => from_server(args, &sizes, &mut sink).await,
    };
    match written {
        Ok(events) => sink.keep(events),
        Err(Unwritten::Unread) => Ok(()),
        Err(Unwritten::Failed(failure)) => Err(failure),
    }
}

/// Why an export came to no end.
enum Unwritten {
    /// Whoever read it has seen enough.
    Unread,
    Failed(Failure),
}

impl From<Failure> for Unwritten {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A bar that is taken away again, however it ends.
struct Bar(ProgressBar);

impl Bar {
    fn new(leaves: u64) -> Self {
        Self(crate::commands::bar("exporting events", leaves, "{human_pos}/{human_len}"))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

async fn from_instance(app: &App, args: &Export, sizes: Vec<u64>, sink: &mut Sink) -> Result<u64, Unwritten> {
    let export = app.export_everything(args.filter.events()).await.map_err(super::unread)?;
    let mut export = export.stopping_at(sizes);
    let bar = Bar::new(export.size());
    let (mut lines, mut events) = (String::new(), 0);
    loop {
        lines.clear();
        let more = app.export_piece(&mut export, &mut lines).await.map_err(broken)?;
        events += sink.write(&lines)?;
        bar.0.set_position(export.at());
        if !more {
            return Ok(events);
        }
    }
}

fn broken(error: Broken) -> Failure {
    match error {
        Broken::Tree => Failure::from(error)
            .hint("find out what is wrong with `strongroom audit verify --data-dir …`; nothing was written"),
        Broken::Store(error) => Failure::from(error),
    }
}

async fn from_server(args: &Export, sizes: &[u64], sink: &mut Sink) -> Result<u64, Unwritten> {
    let client = super::client(&args.client)?;
    let path = client.in_team("events/export").await?;
    let mut query = args.filter.query();
    if !sizes.is_empty() {
        let stops: Vec<_> = sizes.iter().map(ToString::to_string).collect();
        query.push(("stops".to_owned(), stops.join(",")));
    }
    let (mut events, mut bar, mut at) = (0, None, 0);
    loop {
        let answer = piece(&client, &path, query).await?;
        events += sink.write(answer.text())?;
        let Some(next) = answer.next() else { return Ok(events) };
        let (size, leaf) = (number(&next, "size")?, number(&next, "leaf")?);
        if leaf <= at {
            return Err(strange().into());
        }
        at = leaf;
        bar.get_or_insert_with(|| Bar::new(size)).0.set_position(leaf);
        query = next;
    }
}

/// A piece of the file, when it looks like one.
async fn piece(client: &Client, path: &str, query: Vec<(String, String)>) -> Result<Answer, Failure> {
    let answer = client.send(Request::get(path).queries(query)).await?;
    let text = answer.text();
    let is_last = text.lines().next_back().is_some_and(|line| line.starts_with("{\"checkpoint\":"));
    if text.starts_with('{') && text.ends_with("}\n") && is_last == answer.next().is_none() {
        Ok(answer)
    } else {
        Err(strange())
    }
}

fn number(query: &[(String, String)], name: &str) -> Result<u64, Failure> {
    let found = query.iter().find(|(known, _)| known == name);
    found.and_then(|(_, value)| value.parse().ok()).ok_or_else(strange)
}

/// Where lines go.
enum Sink {
    Output,
    File { path: PathBuf, file: BufWriter<Partial> },
}

impl Sink {
    fn open(path: &Path, force: bool) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self::Output);
        }
        let file = BufWriter::new(Partial::begin(path, force)?);
        Ok(Self::File { path: path.to_owned(), file })
    }

    /// Writes lines; how many of them are events.
    fn write(&mut self, lines: &str) -> Result<u64, Unwritten> {
        let written = match self {
            Self::Output => io::stdout().lock().write_all(lines.as_bytes()),
            Self::File { file, .. } => file.write_all(lines.as_bytes()),
        };
        match written {
            Err(error) if matches!(self, Self::Output) && error.kind() == io::ErrorKind::BrokenPipe => {
                return Err(Unwritten::Unread);
            }
            written => written.map_err(|error| self.unwritten(&error))?,
        }
        Ok(lines.lines().filter(|line| line.starts_with("{\"sequence\":")).count() as u64)
    }

    fn unwritten(&self, error: &io::Error) -> Failure {
        let path = match self {
            Self::Output => "standard output".to_owned(),
            Self::File { path, .. } => path.display().to_string(),
        };
        unwritten(&path, error)
    }

    /// Gives the file its name, once it is on the disk.
    fn keep(self, events: u64) -> Result<(), Failure> {
        let (path, file) = match self {
            Self::Output => {
                let flushed = io::stdout().lock().flush();
                return flushed.map_err(|error| unwritten("standard output", &error));
            }
            Self::File { path, file } => (path, file),
        };
        let shown = path.display();
        let file = file.into_inner().map_err(|error| unwritten(&shown.to_string(), error.error()))?;
        file.keep()?;
        output::complain(&format!(
            "Exported {} to {shown}. To check it:\n  strongroom audit verify {shown} --key KEY",
            super::events(events),
        ));
        Ok(())
    }
}

fn unwritten(path: &str, error: &io::Error) -> Failure {
    Failure::because(format!("{path} can't be written"), error).hint("make room, and run the command again")
}
