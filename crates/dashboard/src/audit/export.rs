//! What a search finds, as a file: JSON Lines or CSV, or the record that proves itself, as
//! long as it takes and a piece at a time. A spreadsheet takes no cell for a formula.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use http_body::Frame;
use serde_json::Value;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use strongroom_core::app::{self, Ask, EventNames};
use strongroom_core::events::{EventFilter, Recorded};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{NOT_WHOLE, Wanted, words};
use crate::browser::Cookie;
use crate::desk::Desk;
use crate::refusal::Refusal;
use crate::visit::{Visit, query};

/// Events in a piece.
const PIECE: u32 = 500;
/// The longest that a piece waits to be taken.
const PATIENCE: Duration = Duration::from_mins(1);

/// In which form.
#[derive(Clone, Copy, Debug)]
enum Format {
    Csv,
    JsonLines,
    /// The leaves of the audit tree, and what proves them.
    Proven,
}

impl Format {
    fn named(name: &str) -> Option<Self> {
        match name {
            "csv" => Some(Self::Csv),
            "jsonl" => Some(Self::JsonLines),
            "proven" => Some(Self::Proven),
            _ => None,
        }
    }

    const fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            Self::Proven => "proven.jsonl",
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::JsonLines | Self::Proven => "application/jsonl; charset=utf-8",
        }
    }

    /// What comes before everything else.
    fn head(self) -> Vec<u8> {
        match self {
            Self::Csv => (NAMES.join(",") + "\r\n").into_bytes(),
            Self::JsonLines | Self::Proven => Vec::new(),
        }
    }

    /// Adds a line.
    fn write(self, line: &mut Vec<u8>, values: &[Value]) {
        match self {
            Self::Csv => {
                let cells: Vec<_> = values.iter().map(cell).collect();
                line.extend_from_slice(cells.join(",").as_bytes());
                line.extend_from_slice(b"\r\n");
            }
            Self::JsonLines | Self::Proven => {
                let fields: Vec<_> =
                    NAMES.iter().zip(values).map(|(name, value)| format!("\"{name}\":{value}")).collect();
                line.extend_from_slice(format!("{{{}}}\n", fields.join(",")).as_bytes());
            }
        }
    }
}

/// What a line has, by the names that the API has for it, and what things are called.
const NAMES: [&str; 21] = [
    "sequence",
    "at",
    "action",
    "words",
    "times",
    "user_id",
    "user",
    "api_key_id",
    "api_key",
    "run_id",
    "session_id",
    "object_type",
    "object_id",
    "object",
    "version",
    "agent_id",
    "agent",
    "build_id",
    "request_id",
    "denied_operation",
    "denied_reason",
];

fn values(event: &Recorded, names: &EventNames) -> [Value; NAMES.len()] {
    let id = |id: Option<Uuid>| Value::from(id.map(|id| id.to_string()));
    let name = |id: Option<Uuid>| Value::from(id.and_then(|id| names.of(id)));
    let (actor, place) = (&event.actor, &event.place);
    let user = actor.user_id.map(strongroom_core::UserId::uuid);
    let key = actor.key_id.map(strongroom_core::ApiKeyId::uuid);
    let agent = place.agent_id.map(strongroom_core::AgentId::uuid);
    let refusal = event.refusal.as_ref();
    [
        event.sequence.into(),
        event.at.to_string().into(),
        (&*event.kind).into(),
        words::clause(event).into(),
        event.times.into(),
        id(user),
        name(user),
        id(key),
        name(key),
        id(actor.run_id.map(strongroom_core::RunId::uuid)),
        id(actor.session_id.map(strongroom_core::SessionId::uuid)),
        (&*event.table).into(),
        id(event.object_id),
        name(event.object_id),
        event.version.into(),
        id(agent),
        name(agent),
        id(place.revision_id.map(strongroom_core::RevisionId::uuid)),
        id(event.request_id),
        refusal.and_then(|refusal| refusal.action.clone()).into(),
        refusal.and_then(|refusal| refusal.reason.clone()).into(),
    ]
}

/// A cell of CSV (RFC 4180). Spreadsheets take what begins so for a formula; with
/// an apostrophe before it they take it for text.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text,
        number => return number.to_string(),
    };
    let apostrophe = if text.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r', '\n']) {
        "'"
    } else {
        ""
    };
    if apostrophe.is_empty() && !text.contains([',', '"', '\r', '\n']) {
        return text.clone();
    }
    format!("\"{apostrophe}{}\"", text.replace('"', "\"\""))
}

pub(super) async fn export(
    State(desk): State<Arc<Desk>>,
    visit: Visit,
    request: Request,
) -> Result<Response, Refusal> {
    let parts = request.into_parts().0;
    let format = query(&parts, "format").and_then(|name| Format::named(&name)).ok_or_else(Refusal::absent)?;
    let wanted = Wanted::read(&parts)?;
    let (filter, is_whole) = wanted.filter(&desk, &visit).await?;
    if !is_whole {
        return Err(Refusal::invalid(NOT_WHOLE));
    }
    let token = Cookie::Session.read(&parts.headers, desk.is_secure).ok_or_else(Refusal::signed_out)?;
    let proven = match format {
        Format::Proven => {
            let filter = filter.clone().unwrap_or_else(nothing);
            Some(desk.app.export_events(&visit.ask, &filter, None).await?)
        }
        Format::Csv | Format::JsonLines => None,
    };
    let turn = Arc::clone(&desk.exporting).acquire_owned().await.map_err(|_| Refusal::broken())?;
    let (pieces, body) = channel(1);
    let day = desk.app.clock().now().to_string();
    let name = format!("strongroom-audit-{}.{}", day.get(..10).unwrap_or_default(), format.ending());
    let (ask, token, before) = (visit.ask, Zeroizing::new(token), wanted.before);
    let export = Export { desk, ask, token, filter, before, format, proven };
    tokio::spawn(export.send(pieces, turn));
    let headers = [
        (CONTENT_TYPE, format.media_type().to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, Body::new(Pieces(body))).into_response())
}

/// An export under way.
struct Export {
    desk: Arc<Desk>,
    ask: Ask,
    token: Zeroizing<String>,
    filter: Option<EventFilter>,
    before: Option<i64>,
    format: Format,
    proven: Option<app::Export>,
}

/// What no event matches.
fn nothing() -> EventFilter {
    EventFilter { objects: vec![Uuid::nil()], ..EventFilter::default() }
}

/// The rest of it can't be had; the connection is broken off, so that nobody
/// takes what came for all.
#[derive(Debug, thiserror::Error)]
#[error("the export can't go on")]
struct BrokenOff;

type Piece = Result<Bytes, BrokenOff>;

impl Export {
    /// Sends it piece by piece, for as long as somebody takes them.
    async fn send(mut self, pieces: Sender<Piece>, _turn: OwnedSemaphorePermit) {
        let (mut piece, mut names) = (self.format.head(), EventNames::default());
        loop {
            let more = self.next(&mut piece, &mut names).await;
            let sent = if more.is_ok() { Ok(std::mem::take(&mut piece).into()) } else { Err(BrokenOff) };
            let in_time = tokio::time::timeout(PATIENCE, pieces.send(sent)).await;
            if !matches!((more, in_time), (Ok(true), Ok(Ok(())))) {
                return;
            }
        }
    }

    /// Adds what comes next; whether there is more.
    async fn next(&mut self, piece: &mut Vec<u8>, names: &mut EventNames) -> Result<bool, Refusal> {
        self.still_theirs().await?;
        if let Some(proven) = &mut self.proven {
            let mut lines = String::new();
            let more = self.desk.app.export_page(&self.ask, proven, &mut lines).await?;
            piece.extend_from_slice(lines.as_bytes());
            return Ok(more);
        }
        let Some(filter) = &self.filter else { return Ok(false) };
        let page = self.desk.app.events(&self.ask, filter, self.before, PIECE).await?;
        self.desk.app.name_events(&self.ask, &page.events, names).await?;
        for event in &page.events {
            self.format.write(piece, &values(event, names));
        }
        self.before = page.next;
        Ok(self.before.is_some())
    }

    /// Whether the person is still who may have it: it can take long.
    async fn still_theirs(&self) -> Result<(), Refusal> {
        let caller = self.desk.app.authenticate_session(&self.token, &self.ask.cause).await?;
        let same =
            (caller.team_id, caller.grant.role) == (self.ask.caller.team_id, self.ask.caller.grant.role);
        if same { Ok(()) } else { Err(Refusal::signed_out()) }
    }
}

/// What was sent, as a body.
struct Pieces(Receiver<Piece>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_none_ends_its_row() {
        for (text, expected) in [
            ("Ada", "Ada"),
            ("", ""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@x", "\"'@x\""),
            ("\t=1", "\"'\t=1\""),
            ("a=b", "a=b"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("two\nlines", "\"two\nlines\""),
        ] {
            assert_eq!(cell(&Value::from(text)), expected, "{text:?}");
        }
        assert_eq!((cell(&Value::Null), cell(&Value::from(-3))), (String::new(), "-3".to_owned()));
    }

    #[test]
    fn a_line_of_json_is_an_object() {
        let mut line = Vec::new();
        let values: Vec<_> = NAMES.iter().map(|name| Value::from(format!("{name}\n\""))).collect();
        Format::JsonLines.write(&mut line, &values);
        let read: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(read["agent"], "agent\n\"");
        assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
    }
}
