//! Which values go where in a request, or why it goes no further. Pure: it looks at the head,
//! the run's rules and placeholders, and never at a value.

mod credentials;
mod encodings;
mod overrides;
mod placeholders;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName};
use smallvec::SmallVec;
use strongroom_core::policies::{BasicPart, Placement, Rule};
use strongroom_core::secrets::Secret;
use strongroom_net::Reach;

use crate::asked::Asked;
use crate::known::{Finder, Found, Known};
use crate::refuse::Refusal;

pub(crate) use encodings::{basic, form_decoded, halves};

/// What becomes of a request.
#[derive(Debug)]
pub(crate) struct Decision {
    /// The values that go into its head.
    pub(crate) injections: Injections,
    /// How its body is looked at.
    pub(crate) body: BodyPlan,
    /// The rules that cover it.
    pub(crate) rules: Vec<Granted>,
}

impl Decision {
    /// Which addresses of the host may be dialled: what every rule allows by which a value goes there,
    /// and without a value what any does.
    pub(crate) fn reach(&self, known: &Known) -> Reach {
        let private = |granted: &Granted| known.rule(*granted).is_some_and(Rule::allows_private);
        let allowed = if self.injections.is_empty() {
            self.rules.iter().any(private)
        } else {
            self.injections.iter().all(|one| private(&one.granted))
        };
        if allowed { Reach::Private } else { Reach::Public }
    }
}

/// A rule that covers the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    /// Whose, by its number among the run's secrets.
    pub(crate) secret: usize,
    /// Which, by its number in the policy.
    pub(crate) rule: usize,
}

/// Most requests have one, which stands here without a place of its own in memory.
pub(crate) type Injections = SmallVec<[Injection; 1]>;

/// One value that is put in the place of its placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Injection {
    pub(crate) granted: Granted,
    /// By its number among the run's.
    pub(crate) placeholder: usize,
    pub(crate) spot: Spot,
}

/// Where a value goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// In the header of this name, behind so many bytes: the scheme and a space.
    Header { name: HeaderName, behind: usize },
    /// In the text that `Basic` encodes.
    Basic(BasicPart),
    /// In the query, at this place of it as it was sent.
    Query { start: usize, end: usize },
    /// In the body, which is a form.
    Form(String),
    /// In the body, which is JSON.
    Json(String),
}

/// How a body is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyPlan {
    /// As it streams by: no placeholder may be in it.
    Watch,
    /// It is a form in which a value may have its place.
    Form,
    /// It is JSON in which a value may have its place.
    Json,
}

/// Decides.
///
/// # Errors
/// What is wrong with the request.
pub(crate) fn decide(known: &Known, asked: &Asked<'_>) -> Result<Decision, Refusal> {
    if let Some(found) = known.finder().first(asked.method.as_bytes()) {
        return Err(misplaced(known, found));
    }
    let rules = rules(known, asked)?;
    let view = View { known, asked, rules: &rules };
    let mut injections = Injections::new();
    view.path()?;
    view.query(&mut injections)?;
    view.headers(&mut injections)?;
    view.refuse_encoded(&injections)?;
    view.refuse_foreign(&injections)?;
    view.refuse_overrides()?;
    let body = view.body_plan();
    let rules = rules.iter().map(|(granted, _)| *granted).collect();
    Ok(Decision { injections, body, rules })
}

/// Rules that cover the request.
type Rules<'a> = Vec<(Granted, &'a Rule)>;

fn rules<'a>(known: &'a Known, asked: &'a Asked<'_>) -> Result<Rules<'a>, Refusal> {
    let to = asked.destination();
    let (mut about, mut covering) = (false, Vec::new());
    for (secret, row) in known.brokered.secrets.iter().enumerate() {
        for (rule, own) in of_host(row, asked) {
            about = true;
            if own.covers(&to) {
                covering.push((Granted { secret, rule }, own));
            }
        }
    }
    match covering.is_empty() {
        false => Ok(covering),
        true if about => Err(Refusal::NotCovered(asked.target.clone(), asked.method.to_owned())),
        true => Err(Refusal::NoRule(asked.target.clone())),
    }
}

/// A secret's rules about the host.
fn of_host<'a>(secret: &'a Secret, asked: &'a Asked<'_>) -> impl Iterator<Item = (usize, &'a Rule)> {
    let target = asked.target;
    let policy = secret.policy_in_force().0;
    policy.into_iter().flat_map(|policy| policy.rules_for(target.scheme, &target.host, target.port))
}

/// A request as a run with these rules sent it.
struct View<'a> {
    known: &'a Known,
    asked: &'a Asked<'a>,
    rules: &'a Rules<'a>,
}

impl View<'_> {
    fn finder(&self) -> &Finder {
        self.known.finder()
    }

    /// The rule that puts a placeholder's value where `fits` says.
    fn granted(&self, placeholder: usize, fits: impl Fn(&Placement) -> bool) -> Option<Granted> {
        self.known.granting(self.rules.iter().map(|(granted, _)| *granted), placeholder, fits)
    }

    fn misplaced(&self, found: Found) -> Refusal {
        misplaced(self.known, found)
    }

    /// The names of the query's parameters, decoded.
    fn parameters(&self) -> impl Iterator<Item = Vec<u8>> {
        let pairs = self.asked.query.into_iter().flat_map(|query| query.split('&'));
        pairs.map(|pair| form_decoded(pair.split('=').next().unwrap_or_default()))
    }

    fn body_plan(&self) -> BodyPlan {
        let media = media_type(self.asked.headers);
        let any = |fits: fn(&Placement) -> bool| self.rules.iter().any(|(_, rule)| fits(rule.placement()));
        if media == "application/x-www-form-urlencoded"
            && any(|placement| matches!(placement, Placement::Form(_)))
        {
            BodyPlan::Form
        } else if is_json(&media) && any(|placement| matches!(placement, Placement::Json(_))) {
            BodyPlan::Json
        } else {
            BodyPlan::Watch
        }
    }
}

/// Whether a value goes into this header.
fn is_placed(injections: &[Injection], name: &HeaderName) -> bool {
    injections.iter().any(|one| match &one.spot {
        Spot::Header { name: own, .. } => own == name,
        Spot::Basic(_) => *name == AUTHORIZATION,
        _ => false,
    })
}

/// What is said of a placeholder where none may stand.
pub(crate) fn misplaced(known: &Known, found: Found) -> Refusal {
    let Some(which) = found.which else { return Refusal::OfAnotherRun };
    let key = known.placeholder(which).map(|one| one.env_key.as_str().to_owned());
    Refusal::Misplaced(key)
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(media: &str) -> bool {
    media == "application/json" || media.ends_with("+json")
}
