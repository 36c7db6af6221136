//! A service with one path for each thing a service can do.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use strongroom_net::{Body, BodyError, CallerAddr, PeerAddr, RequestId};

pub(crate) async fn answer(request: Request<Body>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match request.uri().path() {
        "/" => text(StatusCode::OK, "hello"),
        "/echo" => echo(request.into_body()).await,
        "/elsewhere" => tokio::spawn(echo(request.into_body())).await.unwrap(),
        "/refuse" => text(StatusCode::UNAUTHORIZED, "who are you?"),
        "/context" => context(&request),
        "/caller" => caller(&request),
        "/soon" => after(Duration::from_millis(500)).await,
        "/late" => after(Duration::from_mins(10)).await,
        "/holds" => {
            let _body = request.into_body();
            after(Duration::from_mins(10)).await
        }
        "/big" => Response::new(Full::new(Bytes::from(vec![b'.'; 64 << 20]))),
        "/panic" => panic!("a secret that no answer may show"),
        _ => text(StatusCode::NOT_FOUND, "nothing here"),
    })
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}

async fn echo(body: Body) -> Response<Full<Bytes>> {
    match body.collect().await {
        Ok(body) => text(StatusCode::OK, body.to_bytes()),
        Err(error @ BodyError::TooLarge) => text(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        Err(error) => text(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

fn context(request: &Request<Body>) -> Response<Full<Bytes>> {
    let id = request.extensions().get::<RequestId>().unwrap();
    let PeerAddr(peer) = request.extensions().get().unwrap();
    text(StatusCode::OK, format!("{id} {}", peer.ip()))
}

fn caller(request: &Request<Body>) -> Response<Full<Bytes>> {
    let CallerAddr(caller) = request.extensions().get().unwrap();
    text(StatusCode::OK, caller.map_or("nowhere".to_owned(), |address| address.to_string()))
}

async fn after(time: Duration) -> Response<Full<Bytes>> {
    tokio::time::sleep(time).await;
    text(StatusCode::OK, "at last")
}
