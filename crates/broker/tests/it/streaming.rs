//! What is long, or goes both ways at a time, streams by.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

use crate::client::http2;
use crate::harness::{SHOP, Scene};
use crate::host::Fed;

/// Bytes that go each way.
const MUCH: usize = 50_000_000;
/// Bytes by which the process may grow meanwhile: other tests run in it, too.
const MOST: usize = 24 << 20;

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let scene = Scene::new().await;
    let bearer = format!("Bearer {}", scene.placeholder("KEY").await);
    let mut client = http2(&scene, scene.token()).await;
    let (feed, frames) = mpsc::channel(4);
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-checksum", "abc".parse().unwrap());
    feed.send(Frame::data("a message".into())).await.unwrap();
    feed.send(Frame::trailers(trailers)).await.unwrap();
    drop(feed);
    let post = http::Request::post(format!("https://{SHOP}/bearer/trailers"));
    let post = post
        .header("authorization", &bearer)
        .header("te", "trailers")
        .header("content-type", "application/grpc");
    let answer = client.open(post, Fed(frames).boxed_unsync()).await.unwrap();
    let body = answer.collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes(), "a message");
    let seen = scene.shop.only();
    assert_eq!(
        (&seen.headers["te"], &seen.headers["content-type"]),
        (&"trailers".parse().unwrap(), &"application/grpc".parse().unwrap())
    );
    assert_eq!(seen.trailers.unwrap()["x-checksum"], "abc");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_streams_by_both_ways_within_little_memory() {
    let scene = Scene::new().await;
    let mut client = http2(&scene, scene.token()).await;
    let before = resident();
    let (feed, frames) = mpsc::channel(4);
    let feeding = tokio::spawn(async move {
        let piece = Bytes::from(vec![b'.'; 64 << 10]);
        let mut left = MUCH;
        while left > 0 {
            let next = piece.slice(..left.min(piece.len()));
            left -= next.len();
            feed.send(Frame::data(next)).await.unwrap();
        }
    });
    let post = http::Request::post(format!("https://{SHOP}/header/sink"));
    let most = Arc::new(AtomicUsize::new(0));
    let sampling = tokio::spawn({
        let most = Arc::clone(&most);
        async move {
            loop {
                most.fetch_max(resident(), Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    let answer = client.open(post, Fed(frames).boxed_unsync()).await.unwrap();
    assert_eq!(answer.collect().await.unwrap().to_bytes(), MUCH.to_string());
    feeding.await.unwrap();
    let get = http::Request::get(format!("https://{SHOP}/header/much?{MUCH}"));
    let empty = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut answer = client.open(get, empty).await.unwrap();
    let mut count = 0;
    while let Some(frame) = answer.frame().await {
        count += frame.unwrap().data_ref().map_or(0, Bytes::len);
    }
    assert_eq!(count, MUCH);
    sampling.abort();
    let more = most.load(Ordering::SeqCst).saturating_sub(before);
    assert!(more < MOST, "{more} bytes more");
}
