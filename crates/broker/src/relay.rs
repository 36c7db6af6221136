//! What comes back from a host goes to the run's process, without the values.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;

use crate::asked::{is_disguised, strip_answer};
use crate::body::{BackBody, Counted, Parting, Stopped, own};
use crate::exchange::Exchange;
use crate::known::Known;
use crate::redact::Broken;
use crate::refuse::Refusal;
use crate::socket::Socket;
use crate::upstream::Arriving;
use crate::values::Values;

/// The answer as the run's process gets it.
///
/// # Errors
/// When it can't be looked through.
pub(crate) async fn relay(
    exchange: &Arc<Exchange>,
    known: &Known,
    (values, socket): (&Arc<Values>, Option<Socket>),
    mut answer: Response<Arriving>,
) -> Result<Response<BackBody>, Refusal> {
    let redaction = values.redaction();
    if is_disguised(answer.headers()) {
        return Err(Refusal::Unreadable);
    }
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let theirs = hyper::upgrade::on(&mut answer);
        let Some(socket) = socket else {
            return Err(Refusal::Upstream("it speaks another protocol than was asked for"));
        };
        strip_answer(answer.headers_mut(), true);
        redaction.headers(answer.headers_mut());
        tokio::spawn(socket.relay(theirs, known.clone(), Arc::clone(values)));
        return Ok(answer.map(|_| own(Bytes::new())));
    }
    strip_answer(answer.headers_mut(), false);
    let counted = answer.map(|body| Counted::new(body, Arc::clone(exchange)));
    let redacted = redaction.response(counted).await.map_err(|broken| match broken {
        Broken::Origin(_) => Refusal::Upstream("the connection broke"),
        Broken::Unreadable(_) => Refusal::Unreadable,
    })?;
    let exchange = Arc::clone(exchange);
    let stopped = move |broken| match broken {
        Broken::Origin(error) => error,
        Broken::Unreadable(_) => {
            exchange.stop(Refusal::Unreadable);
            Stopped.into()
        }
    };
    Ok(redacted.map(|body| Parting::new(body.map_err(stopped)).boxed_unsync()))
}
