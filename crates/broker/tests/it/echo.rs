//! A gRPC service that says back what it is told and by which credential, in messages, metadata,
//! trailers and statuses.

use std::future::ready;
use std::io;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::server::Grpc;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::host::{Pieces, Witness};

/// What paths of its calls begin with.
pub(crate) const SERVICE: &str = "/shop.Echo/";

/// What is said, either way. A value of another length than was sent would break what follows it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Said {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
    /// What stood in the metadata.
    #[prost(string, tag = "2")]
    pub(crate) credential: String,
    #[prost(uint32, tag = "3")]
    pub(crate) number: u32,
}

impl Said {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }
}

/// The answers of a stream, and how it ends.
type Answers = ReceiverStream<Result<Said, Status>>;

/// Answers a call, by the last segment of its path.
pub(crate) async fn answer(at: &Arc<Witness>, request: http::Request<Incoming>) -> http::Response<Pieces> {
    let method = request.uri().path().trim_start_matches(SERVICE).to_owned();
    let mut server = Grpc::new(ProstCodec::<Said, Said>::default());
    let count = service_fn(|request| ready(Ok(count(Arc::clone(at), request))));
    let answer = match &*method {
        "Say" => server.unary(service_fn(say), request).await,
        "Fail" => server.unary(service_fn(fail), request).await,
        "Count" => server.server_streaming(count, request).await,
        _ => server.streaming(service_fn(talk), request).await,
    };
    answer.map(|body| body.map_err(io::Error::other).boxed_unsync())
}

fn credential<T>(request: &Request<T>) -> String {
    let credential = request.metadata().get(AUTHORIZATION.as_str());
    credential.map_or_else(String::new, |credential| credential.to_str().unwrap().to_owned())
}

/// Metadata with the credential, as a text and as bytes.
fn told(credential: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert("x-got", credential.parse().unwrap());
    metadata.insert_bin("x-got-bin", MetadataValue::from_bytes(credential.as_bytes()));
    metadata
}

/// A status with the credential wherever one has room for it.
fn status(code: Code, credential: &str) -> Status {
    let (message, details) = (format!("with {credential}: no"), credential.as_bytes().to_vec());
    Status::with_details_and_metadata(code, message, details.into(), told(credential))
}

async fn say(request: Request<Said>) -> Result<Response<Said>, Status> {
    let credential = credential(&request);
    let metadata = told(&credential);
    let said = Said { credential, number: 1, ..request.into_inner() };
    Ok(Response::from_parts(metadata, said, http::Extensions::new()))
}

async fn fail(request: Request<Said>) -> Result<Response<Said>, Status> {
    Err(status(Code::FailedPrecondition, &credential(&request)))
}

/// Says it twice, the second time when the test says so, and ends as it was told to.
fn count(at: Arc<Witness>, request: Request<Said>) -> Response<Answers> {
    let (feed, answers) = mpsc::channel(1);
    let (credential, said) = (credential(&request), request.into_inner());
    let code = if said.text == "fail" { Code::ResourceExhausted } else { Code::Ok };
    tokio::spawn(async move {
        for number in 1..=2 {
            let said = Said { credential: credential.clone(), number, ..said.clone() };
            if feed.send(Ok(said)).await.is_err() {
                return;
            }
            if number == 1 {
                at.go_on.notified().await;
            }
        }
        _ = feed.send(Err(status(code, &credential))).await;
    });
    Response::new(ReceiverStream::new(answers))
}

/// Says each message back as it comes.
async fn talk(request: Request<Streaming<Said>>) -> Result<Response<Answers>, Status> {
    let (feed, answers) = mpsc::channel(1);
    let (credential, mut heard) = (credential(&request), request.into_inner());
    let metadata = told(&credential);
    tokio::spawn(async move {
        while let Ok(Some(said)) = heard.message().await {
            if feed.send(Ok(Said { credential: credential.clone(), ..said })).await.is_err() {
                return;
            }
        }
        _ = feed.send(Err(status(Code::Ok, &credential))).await;
    });
    Ok(Response::from_parts(metadata, ReceiverStream::new(answers), http::Extensions::new()))
}
