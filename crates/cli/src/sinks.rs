//! Where events go as they are sealed: a file, standard output, a webhook. Each goes on at
//! its own pace from where it was, which is kept beside the record itself: a slow one keeps
//! nobody waiting, one that was away misses nothing, and what couldn't be confirmed comes
//! again. Of several servers the one that seals sends.

mod file;
mod stdout;
mod webhook;

use std::sync::Arc;
use std::time::Duration;
use strongroom_core::audit::Broken;
use strongroom_core::{App, StoreError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::cli::Sinks;
use crate::failure::Failure;

/// Between two tries of one that fails, at first and at most.
const SOON: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_mins(1);

/// For the last events of a server that ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// The size of the tree, while this server is the one that seals.
pub(crate) type Heads = watch::Receiver<Option<u64>>;

/// A place that takes lines.
enum Sink {
    File(file::File),
    Stdout(stdout::Stdout),
    Webhook(Box<webhook::Webhook>),
}

impl Sink {
    /// Takes lines for good, each without its end; or says why it can't now.
    async fn take(&mut self, first: u64, lines: &[String]) -> Result<(), String> {
        let mut text = lines.join("\n");
        text.push('\n');
        match self {
            Self::File(file) => file.take(text).await,
            Self::Stdout(stdout) => stdout.take(text).await,
            Self::Webhook(webhook) => webhook.take(first, text).await,
        }
    }
}

/// A sink, and where it is remembered under.
struct Named {
    name: String,
    sink: Sink,
}

/// All of a server's, before it serves.
pub(crate) struct Ready(Vec<Named>);

impl Ready {
    /// Those that the command line names.
    ///
    /// # Errors
    /// When a file can't be written, or a webhook's secret can't be read.
    pub(crate) fn new(args: &Sinks) -> Result<Self, Failure> {
        let mut sinks = Vec::new();
        if let Some(path) = &args.audit_file {
            let name = format!("file {}", path.display());
            sinks.push(Named { name, sink: Sink::File(file::File::open(path, args)?) });
        }
        if args.audit_stdout {
            sinks.push(Named { name: "stdout".to_owned(), sink: Sink::Stdout(stdout::Stdout::start()?) });
        }
        if let Some(url) = &args.audit_webhook {
            let name = format!("webhook {}", webhook::shown(url));
            sinks.push(Named { name, sink: Sink::Webhook(Box::new(webhook::Webhook::new(url, args)?)) });
        }
        Ok(Self(sinks))
    }

    /// Starts to send. To be waited for before anything is served: one that is new gets what
    /// comes from here on.
    ///
    /// # Errors
    /// When the store can't note that.
    pub(crate) async fn start(self, app: &Arc<App>, heads: &Heads) -> Result<Sending, StoreError> {
        let mut sending = JoinSet::new();
        for named in self.0 {
            if app.store().audit_sink(&named.name).await?.is_none() {
                let sealed = app.store().audit_head().await?.map_or(0, |head| head.size);
                app.store().move_audit_sink(&named.name, sealed).await?;
            }
            sending.spawn(named.send(Arc::clone(app), heads.clone()));
        }
        Ok(Sending(sending))
    }
}

/// Sinks at work. They end when the tree that they follow has nothing more to come.
pub(crate) struct Sending(JoinSet<()>);

impl Sending {
    /// Lets them take what is there, which a slow one won't; it goes on at the next start.
    pub(crate) async fn finish(mut self) {
        let all = async { while self.0.join_next().await.is_some() {} };
        let _slow = timeout(FAREWELL, all).await;
    }
}

impl Named {
    async fn send(mut self, app: Arc<App>, mut heads: Heads) {
        let mut pause = SOON;
        loop {
            // The sender goes away when the server ends.
            if heads.wait_for(Option::is_some).await.is_err() {
                return;
            }
            match self.turn(&app).await {
                Ok(Some(at)) => {
                    if pause != SOON {
                        tracing::info!(sink = self.name, "audit.sink.recovered");
                    }
                    pause = SOON;
                    if heads.wait_for(|size| size.is_none_or(|size| size > at)).await.is_err() {
                        return;
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    if pause == SOON {
                        tracing::error!(sink = self.name, error, "audit.sink.failed");
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(LATE);
                }
            }
        }
    }

    /// Sends what comes next; where it is by then, when that is all for now.
    async fn turn(&mut self, app: &App) -> Result<Option<u64>, String> {
        let unreadable = |error: Broken| error.to_string();
        let at = app.store().audit_sink(&self.name).await.map_err(|error| error.to_string())?.unwrap_or(0);
        let (lines, end) = app.sealed_lines(at).await.map_err(unreadable)?;
        if lines.is_empty() {
            return Ok(Some(at));
        }
        self.sink.take(at, &lines).await?;
        let noted = app.store().move_audit_sink(&self.name, end).await;
        noted.map_err(|error| error.to_string())?;
        Ok(None)
    }
}
