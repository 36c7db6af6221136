//! A client of gRPC as programs in Rust have it, tonic's, which knows nothing of the broker but the
//! way to it.

use std::time::Duration;

use http::uri::PathAndQuery;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, IntoRequest, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::client::{basic, trusting};
use crate::echo::{SERVICE, Said};
use crate::harness::{SHOP, Scene, Setup, VALUE, rule};
use crate::reflecting::assert_clean;

/// Nothing here takes longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// A scene in which the value may go into the metadata of calls to the service.
async fn scene(value: &str) -> Scene {
    let rules = json!([rule(SERVICE, &json!({"header": "authorization", "scheme": "Bearer"}))]);
    Scene::with(Setup { value: value.to_owned(), rules, ..Setup::default() }).await
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    // TLS is spoken by what is around it.
    connector.enforce_http(false);
    connector
}

/// A channel to the shop by the broker.
async fn by_broker(scene: &Scene) -> Channel {
    let broker = format!("http://{}", scene.address).parse().unwrap();
    let tunnel = Tunnel::new(broker, connector()).with_auth(basic(scene.token()).parse().unwrap());
    let tls = HttpsConnectorBuilder::new().with_tls_config(trusting(&scene.ca)).https_only().enable_http2();
    let shop = Endpoint::from_shared(format!("https://{SHOP}")).unwrap();
    shop.connect_with_connector(tls.wrap_connector(tunnel)).await.unwrap()
}

/// A channel to the shop with nothing in between.
async fn directly(scene: &Scene) -> Channel {
    let name = FixedServerNameResolver::new(SHOP.try_into().unwrap());
    let tls =
        HttpsConnectorBuilder::new().with_tls_config(trusting(scene.hosts.authority.der())).https_only();
    let tls = tls.with_server_name_resolver(name).enable_http2();
    let shop = Endpoint::from_shared(format!("https://{}", scene.shop.address)).unwrap();
    shop.connect_with_connector(tls.wrap_connector(connector())).await.unwrap()
}

/// A client as a program has it: a channel, and a credential for the metadata of each call.
struct Client {
    calls: Grpc<Channel>,
    credential: String,
}

impl Client {
    fn new(channel: Channel, credential: &str) -> Self {
        Self { calls: Grpc::new(channel), credential: format!("Bearer {credential}") }
    }

    /// One by the broker, with a placeholder.
    async fn of(scene: &Scene) -> Self {
        Self::new(by_broker(scene).await, &scene.placeholder("KEY").await)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.credential.parse().unwrap());
        request
    }

    async fn unary(&mut self, method: &str, text: &str) -> Result<Response<Said>, Status> {
        let request = self.request(Said::new(text));
        self.send(method, request).await
    }

    async fn send(&mut self, method: &str, request: Request<Said>) -> Result<Response<Said>, Status> {
        self.calls.ready().await.unwrap();
        timeout(PATIENCE, self.calls.unary(request, path(method), codec())).await.unwrap()
    }

    async fn count(&mut self, text: &str) -> Streaming<Said> {
        let request = self.request(Said::new(text));
        self.calls.ready().await.unwrap();
        let answer = self.calls.server_streaming(request, path("Count"), codec());
        timeout(PATIENCE, answer).await.unwrap().unwrap().into_inner()
    }

    /// A call in which both sides talk.
    async fn talk(&mut self) -> (mpsc::Sender<Said>, Response<Streaming<Said>>) {
        let (talk, said) = mpsc::channel(1);
        let request = self.request(ReceiverStream::new(said));
        self.calls.ready().await.unwrap();
        let answer = self.calls.streaming(request, path("Talk"), codec());
        (talk, timeout(PATIENCE, answer).await.unwrap().unwrap())
    }
}

fn path(method: &str) -> PathAndQuery {
    format!("{SERVICE}{method}").parse().unwrap()
}

fn codec() -> ProstCodec<Said, Said> {
    ProstCodec::default()
}

async fn next(answers: &mut Streaming<Said>) -> Result<Option<Said>, Status> {
    timeout(PATIENCE, answers.message()).await.expect("a message as soon as it is said")
}

/// What arrives of the credential with this value in it.
fn starred(value: &str) -> String {
    format!("Bearer {}", "*".repeat(value.len()))
}

/// Makes sure of what is told of the credential in metadata.
fn assert_told(metadata: &MetadataMap, credential: &str) {
    assert_eq!(metadata.get("x-got").unwrap(), credential);
    assert_eq!(metadata.get_bin("x-got-bin").unwrap().to_bytes().unwrap(), credential);
    assert_clean("metadata", format!("{metadata:?}").as_bytes());
}

/// Makes sure of what is told of it in a status, which arrives whole otherwise.
fn assert_status(status: &Status, (code, credential): (Code, &str)) {
    assert_eq!(status.code(), code, "{status:?}");
    assert_eq!(status.message(), format!("with {credential}: no"));
    assert_eq!(status.details(), credential.as_bytes());
    assert_told(status.metadata(), credential);
}

#[tokio::test]
async fn a_call_goes_out_with_the_value_and_comes_back_without_it() {
    let scene = scene(VALUE).await;
    let mut client = Client::of(&scene).await;
    let answer = client.unary("Say", "hello").await.unwrap();
    let seen = scene.shop.only();
    assert_eq!((seen.version, seen.method), (http::Version::HTTP_2, http::Method::POST));
    assert_eq!(seen.headers["authorization"], format!("Bearer {VALUE}"));
    let stars = starred(VALUE);
    assert_eq!(*answer.get_ref(), Said { text: "hello".into(), credential: stars.clone(), number: 1 });
    assert_eq!(answer.metadata().get("grpc-status").unwrap(), "0", "trailers arrive");
    assert_told(answer.metadata(), &stars);
}

#[tokio::test]
async fn a_call_that_fails_says_so_without_the_value() {
    // Also what a message of a status has to encode.
    for value in [VALUE, "p@ss w%rd/{\"hunter2\"}#?<~>"] {
        let scene = scene(value).await;
        let mut client = Client::of(&scene).await;
        let failed = client.unary("Fail", "hello").await.unwrap_err();
        assert_eq!(scene.shop.only().headers["authorization"], format!("Bearer {value}"));
        assert_status(&failed, (Code::FailedPrecondition, &starred(value)));
        // The same in trailers, behind messages.
        scene.shop.at.go_on.notify_one();
        let mut answers = client.count("fail").await;
        for _ in 0..2 {
            assert_eq!(next(&mut answers).await.unwrap().unwrap().credential, starred(value));
        }
        let failed = next(&mut answers).await.unwrap_err();
        assert_status(&failed, (Code::ResourceExhausted, &starred(value)));
    }
}

#[tokio::test]
async fn each_message_of_a_stream_arrives_before_the_next_one_is_sent() {
    let scene = scene(VALUE).await;
    let mut answers = Client::of(&scene).await.count("again").await;
    let said = |number| Some(Said { text: "again".into(), credential: starred(VALUE), number });
    assert_eq!(next(&mut answers).await.unwrap(), said(1));
    scene.shop.at.go_on.notify_one();
    assert_eq!(next(&mut answers).await.unwrap(), said(2));
    assert_eq!(next(&mut answers).await.unwrap(), None);
    let trailers = answers.trailers().await.unwrap().unwrap();
    assert_eq!(trailers.get("grpc-status").unwrap(), "0");
    assert_told(&trailers, &starred(VALUE));
    assert_eq!(scene.shop.only().headers["authorization"], format!("Bearer {VALUE}"));
}

#[tokio::test]
async fn both_sides_talk_in_turns() {
    let scene = scene(VALUE).await;
    let (talk, answer) = Client::of(&scene).await.talk().await;
    assert_told(answer.metadata(), &starred(VALUE));
    let mut answers = answer.into_inner();
    for (number, text) in (1..).zip(["hello", "what a value begins with: v4lue/", "", "goodbye"]) {
        talk.send(Said { number, ..Said::new(text) }).await.unwrap();
        let said = Said { number, text: text.into(), credential: starred(VALUE) };
        assert_eq!(next(&mut answers).await.unwrap(), Some(said));
    }
    drop(talk);
    assert_eq!(next(&mut answers).await.unwrap(), None);
    let trailers = answers.trailers().await.unwrap().unwrap();
    assert_eq!(trailers.get("grpc-status").unwrap(), "0");
    assert_told(&trailers, &starred(VALUE));
}

/// What a refusal is to a client, where HTTP would say 403: `PermissionDenied`, and words for whoever reads them.
fn assert_refused(status: &Status, refusal: &str) {
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    let words = format!("{refusal}: ");
    assert!(status.message().starts_with(&words) && status.message().len() > 40 + words.len(), "{status:?}");
    let told = format!("{status:?}");
    assert_clean("a refusal", told.as_bytes());
    assert!(!told.contains("srp_") && !told.contains("srb_"), "{told}");
}

#[tokio::test]
async fn a_call_that_is_refused_is_told_why_as_one_of_grpc() {
    let scene = scene(VALUE).await;
    let placeholder = scene.placeholder("KEY").await;
    let channel = by_broker(&scene).await;
    let mut foreign = Client::new(channel.clone(), "mine");
    assert_refused(&foreign.unary("Say", "hello").await.unwrap_err(), "foreign_credential");
    let mut client = Client::new(channel, &placeholder);
    let mut misplaced = client.request(Said::new("hello"));
    misplaced.metadata_mut().insert("x-key", placeholder.parse().unwrap());
    assert_refused(&client.send("Say", misplaced).await.unwrap_err(), "placeholder_misplaced");
    let mut encoded = Said::new("hello").into_request();
    encoded
        .metadata_mut()
        .insert_bin("x-key-bin", tonic::metadata::MetadataValue::from_bytes(placeholder.as_bytes()));
    assert_refused(&client.send("Say", encoded).await.unwrap_err(), "placeholder_misplaced");
    assert_eq!(scene.shop.accepted(), 0);
    assert_refused(&client.unary("Say", &placeholder).await.unwrap_err(), "placeholder_misplaced");
    assert!(!scene.shop.was_sent(&placeholder));
    // The control: the same client, and nothing that is in the way.
    assert_eq!(client.unary("Say", "hello").await.unwrap().get_ref().number, 1);
}

#[tokio::test]
async fn a_stream_that_is_refused_in_the_middle_is_told_why() {
    let scene = scene(VALUE).await;
    let placeholder = scene.placeholder("KEY").await;
    let (talk, answer) = Client::of(&scene).await.talk().await;
    let mut answers = answer.into_inner();
    talk.send(Said::new("hello")).await.unwrap();
    assert_eq!(next(&mut answers).await.unwrap().unwrap().text, "hello");
    talk.send(Said::new(&placeholder)).await.unwrap();
    assert_refused(&next(&mut answers).await.unwrap_err(), "placeholder_misplaced");
    assert!(!scene.shop.was_sent(&placeholder));
    let recorded = scene.recorded().await;
    assert!(
        recorded.iter().any(|one| one.refused.as_deref() == Some("placeholder_misplaced")),
        "{recorded:?}"
    );
}

/// Without the broker the client sees all that it doesn't see otherwise.
#[tokio::test]
async fn the_control_sees_the_value_wherever_it_is_told() {
    let scene = scene(VALUE).await;
    let mut client = Client::new(directly(&scene).await, VALUE);
    let credential = format!("Bearer {VALUE}");
    let answer = client.unary("Say", "hello").await.unwrap();
    assert_eq!(answer.get_ref().credential, credential);
    assert_eq!(answer.metadata().get("x-got").unwrap(), &*credential);
    let failed = client.unary("Fail", "hello").await.unwrap_err();
    assert!(failed.message().contains(&credential) && failed.details() == credential.as_bytes());
    scene.shop.at.go_on.notify_one();
    let mut answers = client.count("again").await;
    assert_eq!(next(&mut answers).await.unwrap().unwrap().credential, credential);
    let trailers = answers.trailers().await.unwrap().unwrap();
    assert_eq!(trailers.get("x-got").unwrap(), &*credential);
    let (talk, answer) = client.talk().await;
    talk.send(Said::new("hello")).await.unwrap();
    assert_eq!(next(&mut answer.into_inner()).await.unwrap().unwrap().credential, credential);
}
