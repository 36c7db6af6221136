//! A request's way through the broker, stage by stage: each takes what the one before has made.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{COOKIE, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, Uri, Version};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use smallvec::SmallVec;
use strongroom_core::app::Cause;
use strongroom_core::policies::Scheme;
use tokio::time::timeout;

use crate::asked::{Asked, is_websocket, strip_request};
use crate::body::{BackBody, OutBody, Watched};
use crate::broker::{Broker, Client};
use crate::decide::{BodyPlan, Decision, Injection, decide};
use crate::exchange::{AllUsed, Exchange, Used};
use crate::grpc::Asker;
use crate::inject::{self, MOST_BODY, Opened, Placed};
use crate::known::Known;
use crate::refuse::Refusal;
use crate::relay::relay;
use crate::socket::Socket;
use crate::target::Target;
use crate::values::Values;
use crate::work;

/// Lets a request of a run through, or says why not.
pub(crate) async fn pass(
    broker: Arc<Broker>,
    client: &Client,
    target: Arc<Target>,
    request: Request<Incoming>,
) -> Response<BackBody> {
    let asker = Asker::of(&request);
    let known = match broker.identify(&client.bearer).await {
        Ok(known) => known,
        Err(refusal) => return asker.refused(&refusal),
    };
    // What can't be recorded isn't begun, or the queue of what is to be would have no end.
    if !broker.recorder.is_open() {
        return asker.refused(&Refusal::Unavailable);
    }
    let about = (&target, request.method(), request.uri().path());
    let exchange = Exchange::begin(&broker, (known.clone(), client), about);
    let passed = match exchange.admit(true) {
        Ok(()) => Passage { broker, known, target, exchange: Arc::clone(&exchange) }.go(request).await,
        Err(refusal) => Err(refusal),
    };
    match passed {
        Ok(answer) => asker.answered(answer, exchange),
        Err(refusal) => asker.refused(&stopped(&exchange, refusal)),
    }
}

/// Records a request that is refused before it is clear where it should go.
pub(crate) fn refused_before(
    broker: &Arc<Broker>,
    (known, client): (&Known, &Client),
    request: &Request<Incoming>,
    refusal: &Refusal,
) {
    let uri = request.uri();
    let scheme = if uri.scheme_str() == Some("http") { Scheme::Http } else { Scheme::Https };
    let host = uri.host().unwrap_or_default().to_owned();
    let target = Arc::new(Target { scheme, host, port: uri.port_u16().unwrap_or_default() });
    refused_by_itself(broker, (known, client), (&target, request.method(), uri.path()), refusal);
}

/// Records a request that goes no further, and counts it: else a run that goes on and on would fill the record.
pub(crate) fn refused_by_itself(
    broker: &Arc<Broker>,
    (known, client): (&Known, &Client),
    about: (&Arc<Target>, &Method, &str),
    refusal: &Refusal,
) {
    if broker.recorder.is_open() {
        let exchange = Exchange::begin(broker, (known.clone(), client), about);
        let _refused_anyway = exchange.admit(false);
        exchange.stop(refusal.clone());
    }
}

/// Why a request goes no further. What stopped its body says more than what then failed.
fn stopped(exchange: &Exchange, refusal: Refusal) -> Refusal {
    exchange.stop(refusal.clone());
    exchange.stopped().unwrap_or(refusal)
}

/// Until a body that is read whole is there.
const READ_IN: Duration = Duration::from_secs(30);

/// Bytes of a body among which placeholders are found in the time in which one of a value is made ready.
const PER_BYTE: usize = 8;

/// A request on its way.
struct Passage {
    broker: Arc<Broker>,
    known: Known,
    target: Arc<Target>,
    exchange: Arc<Exchange>,
}

impl Passage {
    async fn go(self, request: Request<Incoming>) -> Result<Response<BackBody>, Refusal> {
        let (mut head, body) = request.into_parts();
        let mut decision = decide(&self.known, &Asked::of(&self.target, &head)?)?;
        let values = self.open().await?;
        let body = match decision.body {
            BodyPlan::Watch => self.watched(body),
            // What is seldom done isn't to make room for itself in every request.
            BodyPlan::Form | BodyPlan::Json => Box::pin(self.whole(&mut decision, &values, body)).await?,
        };
        let opened = opened(&self.known, &values, &decision.injections)?;
        let websocket = is_websocket(&head);
        strip_request(&mut head.headers, websocket);
        inject::head(&mut head, (&self.known, &decision), &opened)?;
        self.note(&decision);
        let upgrade = websocket.then(|| head.extensions.remove::<hyper::upgrade::OnUpgrade>()).flatten();
        let outgoing = Box::new(outgoing(head, body));
        let reach = decision.reach(&self.known);
        let answer = self.broker.upstream.send((&self.target, reach), outgoing).await?;
        self.exchange.answered(answer.status());
        let socket = upgrade.map(|ours| Socket::new(&self.exchange, ours));
        relay(&self.exchange, &self.known, (&values, socket), answer).await
    }

    /// Opens the run's values: what goes in, and what may come back.
    async fn open(&self) -> Result<Arc<Values>, Refusal> {
        let cause = Cause { request_id: Some(self.exchange.id()), ..Cause::default() };
        self.broker.values.of(&self.broker.app, &self.known, &cause).await
    }

    /// A body as it streams by.
    fn watched(&self, body: Incoming) -> OutBody {
        let finder = Arc::clone(self.known.finder());
        OutBody::Watched(Watched::new(body, finder, Arc::clone(&self.exchange)))
    }

    /// A body in which a value may have its place: it is read whole.
    async fn whole(
        &self,
        decision: &mut Decision,
        values: &Values,
        body: Incoming,
    ) -> Result<OutBody, Refusal> {
        let limited = timeout(READ_IN, Limited::new(body, MOST_BODY).collect()).await;
        let text = limited
            .map_err(|_| Refusal::Body("a body in which a value may be put is there within 30 seconds"))?
            .map_err(|_| Refusal::Body("a body in which a value may be put is at most 2 MiB"))?
            .to_bytes();
        self.exchange.sent(text.len())?;
        let (known, plan, rules, all) =
            (self.known.clone(), decision.body, decision.rules.clone(), text.clone());
        let place = move || inject::place(&known, (plan, &rules), &all);
        let placed = work::done(text.len() / PER_BYTE, place).await.ok_or(Refusal::Unavailable)??;
        let whole = self.filled(&text, &placed, values)?;
        decision.injections.extend(placed.injections);
        Ok(OutBody::Whole(Full::new(whole)))
    }

    fn filled(&self, text: &Bytes, placed: &Placed, values: &Values) -> Result<Bytes, Refusal> {
        if placed.injections.is_empty() {
            return Ok(text.clone());
        }
        let opened = opened(&self.known, values, &placed.injections)?;
        let whole = inject::body(text, placed, &opened)
            .ok_or(Refusal::Body("a value can't be written into this body"))?;
        Ok(Bytes::from_owner(whole))
    }

    /// Notes for the record of which secrets values go in.
    fn note(&self, decision: &Decision) {
        let mut used = AllUsed::new();
        for granted in decision.injections.iter().map(|injection| injection.granted) {
            let Some(secret) = self.known.secret(granted) else { continue };
            let rule = u16::try_from(granted.rule).unwrap_or(u16::MAX);
            if used.iter().all(|one| one.secret != secret.id) {
                used.push(Used { secret: secret.id, version: secret.version, rule });
            }
        }
        self.exchange.uses(used);
    }
}

fn opened<'a>(known: &Known, values: &'a Values, injections: &[Injection]) -> Result<Opened<'a>, Refusal> {
    let value = |injection: &Injection| {
        let placeholder = known.placeholder(injection.placeholder)?;
        values.value(placeholder.secret_id, &placeholder.env_key)
    };
    let all: Option<SmallVec<_>> = injections.iter().map(value).collect();
    // Its row and its content were read at different moments: the next request has both anew.
    all.map(Opened).ok_or(Refusal::Unavailable)
}

/// HTTP/2 may send a cookie a header, and HTTP/1.1 has one header for all (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(cookies) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(COOKIE, cookies);
    }
}

/// The request as the host gets it. What host that is, its URI doesn't say any more.
fn outgoing(mut head: Parts, body: OutBody) -> Request<OutBody> {
    let asked = std::mem::take(&mut head.uri).into_parts().path_and_query;
    head.uri = asked.map_or(Uri::default(), Uri::from);
    if head.version == Version::HTTP_2 {
        join_cookies(&mut head.headers);
        // The authority says it; where HTTP/1.1 follows, it becomes the header again.
        head.headers.remove(http::header::HOST);
    }
    if matches!(body, OutBody::Whole(_)) {
        // With values in it it has another length, which follows from what it is.
        head.headers.remove(http::header::CONTENT_LENGTH);
    }
    // How the process wrote the names of its headers is among the extensions.
    Request::from_parts(head, body)
}
