//! Values that take long to be made ready for keep nobody else waiting.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{ask_on, request, tunnel_to};
use crate::harness::{SHOP, Scene, rule};

/// A value as long as there may be, in which nothing comes again.
fn long(seed: u64) -> String {
    let mut state = seed;
    let letters = (0..60_000).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap())
    });
    letters.collect()
}

/// The longest time in which nothing else had its turn, until this is over.
async fn longest_stall(work: impl Future<Output = ()>) -> Duration {
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    let mut work = std::pin::pin!(work);
    loop {
        let is_over = tokio::time::timeout(Duration::from_millis(1), work.as_mut()).await.is_ok();
        longest = longest.max(last.elapsed());
        last = Instant::now();
        if is_over {
            return longest;
        }
    }
}

#[tokio::test]
async fn large_values_are_made_ready_once_and_beside_everything_else() {
    let mut scene = Scene::in_time().await;
    let values: Vec<_> = (0..4).map(|number| (format!("LONG_{number}"), long(number))).collect();
    let values: Vec<_> = values.iter().map(|(name, value)| (&**name, &**value)).collect();
    scene.another(&values, &json!([rule("/long", &json!({"header": "x-long"}))])).await;
    // What a run receives is fixed when it starts.
    scene.run = scene.another_run().await;
    let head = format!("GET /header HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
    let ask = async || {
        let mut tunnel = tunnel_to(&scene, SHOP).await;
        assert_eq!(ask_on(&mut tunnel, head.as_bytes()).await.status, 200);
    };
    let began = Instant::now();
    let stalled = longest_stall(ask()).await;
    let alone = began.elapsed();
    assert!(stalled < alone / 3, "{stalled:?} of {alone:?}");
    // By then they are closed, and opened anew for all who come.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let began = Instant::now();
    tokio::join!(ask(), ask(), ask(), ask(), ask(), ask(), ask(), ask());
    assert!(began.elapsed() < 3 * alone, "{:?}, and for one {alone:?}", began.elapsed());
}

#[tokio::test]
async fn a_large_body_in_which_a_value_has_its_place_keeps_nobody_waiting() {
    let scene = Scene::in_time().await;
    let placeholder = scene.placeholder("KEY").await;
    let body = format!("{{\"auth\":{{\"key\":\"{placeholder}\"}},\"x\":[1{}]}}", ",1".repeat(500_000));
    let bytes = request("POST /json", &[("Content-Type", "application/json")], &body);
    let mut tunnel = tunnel_to(&scene, SHOP).await;
    let began = Instant::now();
    let stalled = longest_stall(async {
        assert_eq!(ask_on(&mut tunnel, &bytes).await.status, 200);
    });
    let stalled = stalled.await;
    let all = began.elapsed();
    assert!(stalled < all / 3, "{stalled:?} of {all:?}");
}
