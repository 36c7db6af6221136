//! Numbers for whoever watches the server, in the OpenMetrics text format. On
//! a listener of their own: no operation of the API tells them. Never an id, a
//! name or a value in a label.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::Arc;
use strongroom_core::App;

/// The media type of the format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The label of an answer, by the first digit of its status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters that answers go through.
pub(crate) struct Metrics {
    registry: Registry,
    /// In the order of [`CLASSES`]; counting is one atomic addition.
    answers: [Counter; CLASSES.len()],
}

impl Metrics {
    pub(crate) fn new(app: Arc<App>) -> Self {
        let mut registry = Registry::with_prefix("strongroom");
        let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
        registry.register("answers", "Answers of the API, by class of status", family.clone());
        registry.register_collector(Box::new(OfApp(app)));
        let answers = CLASSES.map(|class| family.get_or_create_owned(&[("status", class)]));
        Self { registry, answers }
    }

    pub(crate) fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.answers.get(class) {
            counter.inc();
        }
    }
}

/// What the core counts by itself.
struct OfApp(Arc<App>);

impl fmt::Debug for OfApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfApp")
    }
}

impl Collector for OfApp {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let violations = ConstCounter::new(self.0.integrity_violations());
        let help = "Stored rows and blobs that were not what was stored";
        let metric =
            encoder.encode_descriptor("integrity_violations", help, None, violations.metric_type())?;
        violations.encode(metric)?;
        let Some((events, at)) = self.0.sealed_events() else { return Ok(()) };
        let help = "Events under the newest signed head of the audit tree that this server saw";
        let events = ConstGauge::new(i64::try_from(events).unwrap_or(i64::MAX));
        events.encode(encoder.encode_descriptor(
            "audit_sealed_events",
            help,
            None,
            events.metric_type(),
        )?)?;
        let (help, unit) = ("When that head was signed, since 1970", Unit::Seconds);
        let at = ConstGauge::new(at.as_millis() / 1_000);
        at.encode(encoder.encode_descriptor("audit_sealed_at", help, Some(&unit), at.metric_type())?)
    }
}

/// `GET /metrics`
pub(crate) async fn serve(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &metrics.registry) {
        Ok(()) => (StatusCode::OK, [(CONTENT_TYPE, OPEN_METRICS)], text),
        Err(fmt::Error) => (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], String::new()),
    }
}
