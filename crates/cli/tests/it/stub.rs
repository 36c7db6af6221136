//! A server that records what crosses the wire and answers as it is told.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::Value;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use strongroom_core::OsRandom;
use strongroom_core::tokens::{Token, TokenKind};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::harness::{BINARY, Ended, clean, run};

pub(crate) const TEAM: &str = "01890a5d-ac96-774b-bcce-b302099a8001";
pub(crate) const USER: &str = "01890a5d-ac96-774b-bcce-b302099a8002";
pub(crate) const SECRET: &str = "01890a5d-ac96-774b-bcce-b302099a8003";
pub(crate) const OTHER: &str = "01890a5d-ac96-774b-bcce-b302099a8004";

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// `METHOD path?query`.
    pub(crate) fn line(&self) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{} {}{mark}{}", self.method, self.path, self.query)
    }
}

/// What the stub answers to one request.
pub(crate) enum Told {
    /// A status, headers and a body.
    Say(u16, Vec<(&'static str, String)>, String),
    /// Half an answer, and the end of the connection.
    Cut,
    /// A status and a body, after this time.
    Late(Duration, u16, String),
    /// Nothing, however long it is waited for.
    Never,
}

#[derive(Default)]
struct Script {
    told: VecDeque<Told>,
    otherwise: Option<String>,
    seen: Vec<Seen>,
}

/// A stub that is told its answers in advance, and a home for whoever asks it.
pub(crate) struct Stub {
    script: Arc<Mutex<Script>>,
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
    home: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
}

/// A token of a kind, as the server would make it.
pub(crate) fn token(kind: TokenKind) -> String {
    Token::mint(kind, Uuid::from_u128(7), &OsRandom).reveal().to_owned()
}

/// A secret as the API shows it.
pub(crate) fn secret(name: &str) -> Value {
    serde_json::json!({
        "id": SECRET, "team_id": TEAM, "user_id": USER, "name": name, "service_slug": null,
        "env_var_keys": ["SMTP_USER"], "created_by": USER,
        "created_at": "2026-11-07T05:31:56.000Z", "updated_at": "2026-11-07T05:31:56.000Z",
    })
}

impl Stub {
    pub(crate) fn new() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&script));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let server = axum::serve(listener, router);
                tokio::select! { _ = server => {} _ = stopped => {} }
            });
        });
        let home = tempfile::tempdir().unwrap();
        Self { script, address, key: token(TokenKind::ApiKey), home, stop: Some(stop) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Adds an answer to those it will give.
    pub(crate) fn tell(&self, told: Told) -> &Self {
        self.script.lock().unwrap().told.push_back(told);
        self
    }

    /// Adds answers before those that it was told.
    pub(crate) fn tell_first(&self, first: Vec<Told>) {
        let mut script = self.script.lock().unwrap();
        let later = std::mem::take(&mut script.told);
        script.told = first.into_iter().chain(later).collect();
    }

    #[expect(clippy::needless_pass_by_value, reason = "texts and JSON alike are told")]
    pub(crate) fn say(&self, status: u16, body: impl ToString) -> &Self {
        self.tell(Told::Say(status, Vec::new(), body.to_string()))
    }

    #[expect(clippy::needless_pass_by_value, reason = "texts and JSON alike are told")]
    pub(crate) fn say_with(&self, status: u16, header: (&'static str, &str), body: impl ToString) -> &Self {
        self.tell(Told::Say(status, vec![(header.0, header.1.to_owned())], body.to_string()))
    }

    /// What it answers when it isn't told anything else, with status 200.
    #[expect(clippy::needless_pass_by_value, reason = "texts and JSON alike are told")]
    pub(crate) fn otherwise(&self, body: impl ToString) -> &Self {
        self.script.lock().unwrap().otherwise = Some(body.to_string());
        self
    }

    /// The requests so far, as lines; they stay to be seen.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.script.lock().unwrap().seen.iter().map(Seen::line).collect()
    }

    /// The bodies of the requests so far; they stay to be seen.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.script.lock().unwrap().seen.iter().map(|seen| seen.body.clone()).collect()
    }

    /// What it saw since it was last asked.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let mut script = self.script.lock().unwrap();
        assert_eq!(script.told.len(), 0, "answers nobody asked for; seen: {:?}", script.seen);
        std::mem::take(&mut script.seen)
    }

    /// The one request that it saw.
    pub(crate) fn one(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn profiles(&self) -> PathBuf {
        self.home("strongroom/profiles.toml")
    }

    /// The binary, knowing neither a server nor a key.
    pub(crate) fn stranger(&self, args: &[&str]) -> Command {
        let mut command = clean(BINARY);
        command.current_dir(self.home.path()).env("XDG_CONFIG_HOME", self.home.path()).args(args);
        command
    }

    /// The binary, knowing the stub and a key for it by their variables.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.stranger(args);
        command.env("STRONGROOM_URL", self.url()).env("STRONGROOM_API_KEY", &self.key);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        run(&mut self.command(args))
    }

    /// With this team named, so that the profile isn't asked for.
    pub(crate) fn run_in_team(&self, args: &[&str]) -> Ended {
        self.run(&[args, &["--team", TEAM]].concat())
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _ended = self.stop.take().map(|stop| stop.send(()));
    }
}

/// Runs a verb that is answered so, in a team that is named; the line and the
/// body that it sent, and what it wrote to standard output.
pub(crate) fn sent(args: &[&str], answer: &Value) -> (String, Value, String) {
    let stub = Stub::new();
    stub.say(200, answer);
    let ended = stub.run_in_team(args);
    ended.done();
    let seen = stub.one();
    assert_eq!(seen.header("idempotency-key").is_some(), seen.method != "GET", "{args:?}");
    (seen.line(), serde_json::from_str(&seen.body).unwrap_or_default(), ended.stdout)
}

/// Runs a command with this on its standard input.
pub(crate) fn fed(mut command: Command, input: &[u8]) -> Ended {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || {
        // A command that refuses doesn't read all.
        let _unread = std::io::Write::write_all(&mut writer, &input);
    });
    let ended = run(command.stdin(Stdio::from(reader)));
    drop(command);
    feeder.join().unwrap();
    ended
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let seen = Seen {
        method,
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let (told, otherwise) = {
        let mut script = script.lock().unwrap();
        script.seen.push(seen);
        (script.told.pop_front(), script.otherwise.clone())
    };
    match (told, otherwise) {
        (None, Some(body)) => said(200, &[], body.into()),
        (None, None) => {
            said(500, &[], r#"{"error": "untold", "message": "the stub wasn't told what to say"}"#.into())
        }
        (Some(Told::Say(status, headers, body)), _) => said(status, &headers, body.into()),
        (Some(Told::Late(time, status, body)), _) => {
            tokio::time::sleep(time).await;
            said(status, &[], body.into())
        }
        (Some(Told::Never), _) => std::future::pending().await,
        (Some(Told::Cut), _) => {
            let cut = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) });
            said(200, &[], Body::from_stream(cut))
        }
    }
}

fn said(status: u16, headers: &[(&'static str, String)], body: Body) -> Response<Body> {
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    response.body(body).unwrap()
}
