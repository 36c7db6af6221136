//! Which values go where in a request, or why it goes no further. Pure: it looks at the head,
//! the run's rules and placeholders, and never at a value.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use strongroom_core::policies::{AuthScheme, BasicPart, Placement, Rule};
use strongroom_core::secrets::Secret;
use strongroom_net::Reach;

use crate::asked::Asked;
use crate::known::{Finder, Found, Known};
use crate::refuse::Refusal;

/// What becomes of a request.
#[derive(Debug)]
pub(crate) struct Decision {
    /// The values that go into its head.
    pub(crate) injections: Vec<Injection>,
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
    let mut injections = Vec::new();
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

    /// No rule puts a value into a path.
    fn path(&self) -> Result<(), Refusal> {
        let decoded = percent_decoded(self.asked.path);
        match self.finder().first(&decoded) {
            Some(found) => Err(self.misplaced(found)),
            None => Ok(()),
        }
    }

    fn query(&self, injections: &mut Vec<Injection>) -> Result<(), Refusal> {
        let Some(query) = self.asked.query else { return Ok(()) };
        let mut start = 0;
        for pair in query.split('&') {
            injections.extend(self.pair(pair, start)?);
            start += pair.len() + 1;
        }
        Ok(())
    }

    fn pair(&self, pair: &str, start: usize) -> Result<Option<Injection>, Refusal> {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name_text, value_text) = (form_decoded(name), form_decoded(value));
        if let Some(found) = self.finder().first(&name_text) {
            return Err(self.misplaced(found));
        }
        let Some(found) = self.finder().first(&value_text) else { return Ok(None) };
        let fits = |placement: &Placement| matches!(placement, Placement::Query(own) if own.as_str().as_bytes() == &*name_text);
        let whole = self.finder().whole(&value_text);
        let placed = whole.and_then(|placeholder| Some((placeholder, self.granted(placeholder, fits)?)));
        let (placeholder, granted) = placed.ok_or_else(|| self.misplaced(found))?;
        let start = start + name.len() + 1;
        let spot = Spot::Query { start, end: start + value.len() };
        Ok(Some(Injection { granted, placeholder, spot }))
    }

    fn headers(&self, injections: &mut Vec<Injection>) -> Result<(), Refusal> {
        for (name, value) in self.asked.headers {
            if let Some(found) = self.finder().first(name.as_str().as_bytes()) {
                return Err(self.misplaced(found));
            }
            if let Some(found) = self.finder().first(value.as_bytes()) {
                injections.push(self.header(name, value, found)?);
            } else if let Some(encoded) = basic(value) {
                self.basic(name, &encoded, injections)?;
            }
        }
        Ok(())
    }

    fn header(&self, name: &HeaderName, value: &HeaderValue, found: Found) -> Result<Injection, Refusal> {
        let (before, after) = (value.as_bytes().get(..found.start), value.as_bytes().get(found.end..));
        let fits = |placement: &Placement| match placement {
            Placement::Header(own, scheme) => {
                own.as_str() == name.as_str()
                    && before.is_some_and(|before| is_scheme(before, scheme.as_ref().map(AuthScheme::as_str)))
            }
            _ => false,
        };
        let alone =
            after.is_some_and(<[u8]>::is_empty) && self.asked.headers.get_all(name).iter().count() == 1;
        let placed =
            found.which.filter(|_| alone).and_then(|which| Some((which, self.granted(which, fits)?)));
        let (placeholder, granted) = placed.ok_or_else(|| self.misplaced(found))?;
        Ok(Injection { granted, placeholder, spot: Spot::Header { name: name.clone(), behind: found.start } })
    }

    fn basic(
        &self,
        name: &HeaderName,
        encoded: &[u8],
        injections: &mut Vec<Injection>,
    ) -> Result<(), Refusal> {
        let Some(found) = self.finder().first(encoded) else { return Ok(()) };
        let single = *name == AUTHORIZATION && self.asked.headers.get_all(name).iter().count() == 1;
        let Some((user, password)) = halves(encoded).filter(|_| single) else {
            return Err(self.misplaced(found));
        };
        for (part, text) in [(BasicPart::Username, user), (BasicPart::Password, password)] {
            let Some(found) = self.finder().first(text) else { continue };
            let fits = |placement: &Placement| matches!(placement, Placement::Basic(own) if *own == part);
            let whole = self.finder().whole(text);
            let placed = whole.and_then(|placeholder| Some((placeholder, self.granted(placeholder, fits)?)));
            let (placeholder, granted) = placed.ok_or_else(|| self.misplaced(found))?;
            injections.push(Injection { granted, placeholder, spot: Spot::Basic(part) });
        }
        Ok(())
    }

    /// Refuses placeholders that are encoded: no rule puts a value in such a place.
    fn refuse_encoded(&self, injections: &[Injection]) -> Result<(), Refusal> {
        let mut finder = self.finder().scanner().finder();
        let mut hides = |text: &[u8]| finder.push(text) || finder.push(b"\n");
        let mut others = self.asked.headers.iter().filter(|(name, _)| !is_placed(injections, name));
        let mut from = 0;
        let mut hidden =
            others.any(|(_, value)| hides(value.as_bytes())) || hides(self.asked.path.as_bytes());
        let query = self.asked.query.unwrap_or_default();
        for injection in injections {
            if let Spot::Query { start, end } = injection.spot {
                hidden = hidden || query.get(from..start).is_some_and(|text| hides(text.as_bytes()));
                from = end;
            }
        }
        hidden = hidden || query.get(from..).is_some_and(|text| hides(text.as_bytes()));
        if hidden { Err(Refusal::Misplaced(None)) } else { Ok(()) }
    }

    /// Refuses what would speak to the host in another's name.
    fn refuse_foreign(&self, injections: &[Injection]) -> Result<(), Refusal> {
        let foreign = |place| Err(Refusal::Foreign(self.asked.target.clone(), place));
        let is_credential = |name: &HeaderName| {
            CREDENTIAL_HEADERS.contains(&name.as_str())
                || self.rules.iter().any(|(_, rule)| is_header(rule, name))
        };
        let is_foreign = |name: &HeaderName| {
            is_credential(name)
                && !is_placed(injections, name)
                && !self.is_allowed(|rule| is_header(rule, name))
        };
        if self.asked.headers.keys().any(is_foreign) {
            return foreign("a header");
        }
        let ours = injections.iter().filter(|one| matches!(one.spot, Spot::Query { .. })).count();
        let credentials = self.parameters().filter(|name| self.is_credential(name)).count();
        let is_query = |rule: &Rule| matches!(rule.placement(), Placement::Query(_));
        if credentials > ours && !self.is_allowed(is_query) { foreign("the query") } else { Ok(()) }
    }

    /// Whether another's credential may stand there: where a rule that puts a value there says so,
    /// and, where none does, any that covers the request.
    fn is_allowed(&self, puts_there: impl Fn(&Rule) -> bool) -> bool {
        let mut there = self.rules.iter().filter(|(_, rule)| puts_there(rule)).peekable();
        match there.peek() {
            Some(_) => there.any(|(_, rule)| rule.allows_foreign()),
            None => self.rules.iter().any(|(_, rule)| rule.allows_foreign()),
        }
    }

    /// Refuses what would have the host take another method or path than the one that rules were
    /// asked about, where they make a difference.
    fn refuse_overrides(&self) -> Result<(), Refusal> {
        let narrows = |rule: &Rule| !rule.methods().names().is_empty() || rule.path_prefix().as_str() != "/";
        let headers = OVERRIDES.iter().any(|name| self.asked.headers.contains_key(*name));
        let query = self.parameters().any(|name| name == b"_method");
        if (headers || query) && self.rules.iter().any(|(_, rule)| narrows(rule)) {
            return Err(Refusal::Unsupported("a header or parameter that says another method or path"));
        }
        Ok(())
    }

    /// The names of the query's parameters, decoded.
    fn parameters(&self) -> impl Iterator<Item = Vec<u8>> {
        let pairs = self.asked.query.into_iter().flat_map(|query| query.split('&'));
        pairs.map(|pair| form_decoded(pair.split('=').next().unwrap_or_default()))
    }

    /// Whether a parameter of the query of this name is one in which credentials stand.
    fn is_credential(&self, name: &[u8]) -> bool {
        let own = |rule: &Rule| matches!(rule.placement(), Placement::Query(own) if own.as_str().as_bytes() == name);
        CREDENTIAL_PARAMETERS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
            || self.rules.iter().any(|(_, rule)| own(rule))
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

/// What is said of a placeholder where none may stand.
pub(crate) fn misplaced(known: &Known, found: Found) -> Refusal {
    let Some(which) = found.which else { return Refusal::OfAnotherRun };
    let key = known.placeholder(which).map(|one| one.env_key.as_str().to_owned());
    Refusal::Misplaced(key)
}

/// Headers in which services take credentials.
const CREDENTIAL_HEADERS: [&str; 13] = [
    "api-key",
    "apikey",
    "authorization",
    "private-token",
    "x-access-token",
    "x-amz-security-token",
    "x-api-key",
    "x-api-token",
    "x-apikey",
    "x-auth-key",
    "x-auth-token",
    "x-goog-api-key",
    "x-vault-token",
];

/// Headers by which some hosts take another method or path than the request's own.
const OVERRIDES: [&str; 6] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-method",
    "x-original-url",
    "x-rewrite-url",
];

/// Parameters of a query in which services take credentials.
const CREDENTIAL_PARAMETERS: [&str; 9] = [
    "access_token",
    "api_key",
    "apikey",
    "auth_token",
    "client_secret",
    "key",
    "token",
    "x-amz-signature",
    "x-goog-signature",
];

/// Whether a value goes into this header.
fn is_placed(injections: &[Injection], name: &HeaderName) -> bool {
    injections.iter().any(|one| match &one.spot {
        Spot::Header { name: own, .. } => own == name,
        Spot::Basic(_) => *name == AUTHORIZATION,
        _ => false,
    })
}

fn is_header(rule: &Rule, name: &HeaderName) -> bool {
    match rule.placement() {
        Placement::Header(own, _) => own.as_str() == name.as_str(),
        Placement::Basic(_) => *name == AUTHORIZATION,
        _ => false,
    }
}

/// Whether this stands before a value that has this scheme: it and one space, in any case.
fn is_scheme(before: &[u8], scheme: Option<&str>) -> bool {
    match scheme {
        None => before.is_empty(),
        Some(scheme) => before
            .split_last()
            .is_some_and(|(last, own)| *last == b' ' && own.eq_ignore_ascii_case(scheme.as_bytes())),
    }
}

/// What `Basic` encodes in a header.
pub(crate) fn basic(value: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, encoded) = value.as_bytes().split_first_chunk::<6>()?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let encoded = encoded.trim_ascii();
    STANDARD.decode(encoded).or_else(|_| STANDARD_NO_PAD.decode(encoded)).ok()
}

/// The user and the password of what `Basic` encodes: before and behind the first colon.
pub(crate) fn halves(encoded: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = encoded.iter().position(|byte| *byte == b':')?;
    Some((encoded.get(..colon)?, encoded.get(colon + 1..)?))
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(media: &str) -> bool {
    media == "application/json" || media.ends_with("+json")
}

/// A text without its percent-encoding, however often it was encoded within reason.
pub(crate) fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..4 {
        let decoded: Vec<u8> = percent_encoding::percent_decode(&bytes).collect();
        if decoded == bytes {
            break;
        }
        bytes = decoded;
    }
    bytes
}

/// A name or a value of a form.
pub(crate) fn form_decoded(text: &str) -> Vec<u8> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode(spaced.as_bytes()).collect()
}
