//! The form for a policy: a rule is filled in field by field, and what is wrong with it is
//! said beside its field.

use maud::{Markup, html};
use std::borrow::Cow;
use strongroom_core::policies::{
    AuthScheme, BasicPart, FieldName, HeaderName, HostPattern, JsonPointer, Methods, NewRule, PathPrefix,
    Placement, Policy, Rule, Scheme,
};
use strongroom_core::text::Invalid;

use super::words;
use crate::forms::Fields;
use crate::refusal::sentence;

/// The name of the field that says how many rules there are.
pub(super) const COUNT: &str = "count";

/// Where a value may go: what the choice is called on the wire and on the page.
const PLACES: [(&str, &str); 6] = [
    ("header", "A header"),
    ("query", "The query"),
    ("form", "A form's field"),
    ("json", "A JSON body"),
    ("username", "Basic: user name"),
    ("password", "Basic: password"),
];

/// A rule as it is filled in.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Draft {
    scheme: String,
    host: String,
    port: String,
    methods: String,
    path: String,
    place: String,
    name: String,
    auth: String,
    allow_private: bool,
    allow_foreign: bool,
}

/// What is wrong with a rule: the field, and why.
#[derive(Default)]
struct Wrong(Vec<(&'static str, Cow<'static, str>)>);

impl Wrong {
    /// What was parsed; else it is noted why not.
    fn unless<T>(&mut self, field: &'static str, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|invalid| self.0.push((field, sentence(invalid.reason()).into()))).ok()
    }

    fn of(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| *name == field).map(|(_, why)| why.as_ref())
    }
}

impl Draft {
    /// One that isn't filled in yet, with what most services take.
    pub(super) fn blank() -> Self {
        Self {
            scheme: "https".to_owned(),
            host: String::new(),
            port: String::new(),
            methods: String::new(),
            path: "/".to_owned(),
            place: "header".to_owned(),
            name: "authorization".to_owned(),
            auth: "Bearer".to_owned(),
            allow_private: false,
            allow_foreign: false,
        }
    }

    pub(super) fn of(rule: &Rule) -> Self {
        let usual = rule.port() == rule.scheme().usual_port();
        let (place, name, auth) = match rule.placement() {
            Placement::Header(name, scheme) => {
                ("header", name.as_str(), scheme.as_ref().map_or("", AuthScheme::as_str))
            }
            Placement::Query(name) => ("query", name.as_str(), ""),
            Placement::Form(name) => ("form", name.as_str(), ""),
            Placement::Json(pointer) => ("json", pointer.as_str(), ""),
            Placement::Basic(part) => (part.name(), "", ""),
        };
        Self {
            scheme: rule.scheme().name().to_owned(),
            host: rule.host().as_str().to_owned(),
            port: if usual { String::new() } else { rule.port().to_string() },
            methods: rule.methods().names().join(" "),
            path: rule.path_prefix().as_str().to_owned(),
            place: place.to_owned(),
            name: name.to_owned(),
            auth: auth.to_owned(),
            allow_private: rule.allows_private(),
            allow_foreign: rule.allows_foreign(),
        }
    }

    /// What was filled in; `None` where it is to be removed.
    fn read(fields: &Fields, at: usize) -> Option<Self> {
        let text = |name: &str| fields.text(&format!("{name}-{at}")).trim().to_owned();
        let ticked = |name: &str| fields.ticked(&format!("{name}-{at}"));
        (!ticked("remove")).then(|| Self {
            scheme: text("scheme"),
            host: text("host"),
            port: text("port"),
            methods: text("methods"),
            path: text("path"),
            place: text("place"),
            name: text("name"),
            auth: text("auth"),
            allow_private: ticked("private"),
            allow_foreign: ticked("foreign"),
        })
    }

    fn rule(&self, wrong: &mut Wrong) -> Option<Rule> {
        let scheme = wrong.unless("scheme", Scheme::parse(&self.scheme));
        let host = wrong.unless("host", HostPattern::parse(&self.host));
        let port = wrong.unless("port", port(&self.port));
        let methods = wrong.unless("methods", methods(&self.methods));
        let path = if self.path.is_empty() { "/" } else { &self.path };
        let path_prefix = wrong.unless("path", PathPrefix::parse(path));
        let placement = self.placement(wrong);
        let new = NewRule {
            scheme: scheme?,
            host: host?,
            port: port?,
            methods: methods?,
            path_prefix: path_prefix?,
            placement: placement?,
            allow_private: self.allow_private,
            allow_foreign: self.allow_foreign,
        };
        // Ports are looked at above: nothing else of it can't go together.
        let single = Invalid::new(
            "is a single label, as only hosts of a private network have; allow a private network for it, or write the \
             whole name",
        );
        wrong.unless("host", new.into_rule().map_err(|_| single))
    }

    fn placement(&self, wrong: &mut Wrong) -> Option<Placement> {
        match self.place.as_str() {
            "header" => {
                let auth = Some(self.auth.as_str()).filter(|auth| !auth.is_empty());
                let auth = wrong.unless("auth", auth.map(AuthScheme::parse).transpose());
                let name = wrong.unless("name", HeaderName::parse(&self.name));
                Some(Placement::Header(name?, auth?))
            }
            "query" => wrong.unless("name", FieldName::parse(&self.name)).map(Placement::Query),
            "form" => wrong.unless("name", FieldName::parse(&self.name)).map(Placement::Form),
            "json" => wrong.unless("name", JsonPointer::parse(&self.name)).map(Placement::Json),
            part => {
                let part = BasicPart::parse(part).map_err(|_| Invalid::new("must be one of these"));
                wrong.unless("place", part).map(Placement::Basic)
            }
        }
    }
}

/// Empty for the usual one.
fn port(text: &str) -> Result<Option<u16>, Invalid> {
    if text.is_empty() {
        return Ok(None);
    }
    let port = text.parse().ok().filter(|port| *port > 0);
    port.map(Some).ok_or(Invalid::new("must be a number from 1 to 65535, or empty for the usual one"))
}

/// Names in any case, with spaces or commas between them.
fn methods(text: &str) -> Result<Methods, Invalid> {
    let names = text.split([' ', ',']).filter(|name| !name.is_empty()).map(str::to_ascii_uppercase);
    Methods::new(names.collect())
}

/// A policy as it is filled in.
pub(super) struct Filled {
    drafts: Vec<(Draft, Wrong)>,
    broker_only: bool,
}

impl Filled {
    /// As it is.
    pub(super) fn of(rules: &[Rule], broker_only: bool) -> Self {
        let drafts = rules.iter().map(|rule| (Draft::of(rule), Wrong::default())).collect();
        Self { drafts, broker_only }
    }

    /// As somebody sent it.
    pub(super) fn read(fields: &Fields) -> Self {
        let count = fields.text(COUNT).parse().unwrap_or(0).min(Policy::MAX_RULES + 1);
        let drafts = (0..count).filter_map(|at| Draft::read(fields, at));
        let drafts = drafts.filter(|draft| *draft != Draft::blank());
        Self {
            drafts: drafts.map(|draft| (draft, Wrong::default())).collect(),
            broker_only: fields.ticked("broker_only"),
        }
    }

    /// With one more rule to fill in, if one more is allowed.
    pub(super) fn and_one_more(mut self) -> Self {
        if self.drafts.len() < Policy::MAX_RULES {
            self.drafts.push((Draft::blank(), Wrong::default()));
        }
        self
    }

    /// The rules, and whether only the broker gets values; `None` when something is wrong,
    /// which is noted.
    pub(super) fn parsed(&mut self) -> Option<(Vec<Rule>, bool)> {
        let rules: Vec<_> = self.drafts.iter_mut().map(|(draft, wrong)| draft.rule(wrong)).collect();
        Some((rules.into_iter().collect::<Option<_>>()?, self.broker_only))
    }

    /// The fields of the form.
    pub(super) fn fields(&self) -> Markup {
        html! {
            input type="hidden" name=(COUNT) value=(self.drafts.len());
            @for (at, (draft, wrong)) in self.drafts.iter().enumerate() { (folded(at, draft, wrong)) }
            label.box {
                input type="checkbox" name="broker_only" value="yes" checked[self.broker_only];
                " Never in an environment: only the broker gets its values"
            }
        }
    }
}

/// A rule that is in order stands there in words, and opens to be changed.
fn folded(at: usize, draft: &Draft, wrong: &Wrong) -> Markup {
    let rule = draft.rule(&mut Wrong::default());
    let number = at + 1;
    html! {
        details.policy-rule open[rule.is_none()] {
            summary {
                "Rule " (number)
                @match &rule {
                    Some(rule) => { ": " (words::rule(rule)) }
                    None if *draft == Draft::blank() => ": a new one",
                    None => {}
                }
            }
            div role="group" aria-label={ "Rule " (number) } { (open(at, draft, wrong)) }
        }
    }
}

fn open(at: usize, draft: &Draft, wrong: &Wrong) -> Markup {
    let spot = Spot { at, wrong };
    html! {
        div.sides {
            (spot.chosen(("Scheme", "scheme", "By http anybody on the way can read it."), &SCHEMES, &draft.scheme))
            (spot.line(("Host", "host", "A name; *.example.com is any with one label before it."), &draft.host, HostPattern::MAX))
            (spot.line(("Port", "port", "Empty: the usual one."), &draft.port, 5))
            (spot.line(("Methods", "methods", "GET POST, say. Empty: any."), &draft.methods, 512))
            (spot.line(("Paths under", "path", "By whole segments: /v1 isn't /v10."), &draft.path, PathPrefix::MAX))
            (spot.chosen(("Where the value goes", "place", "The one place where it may stand."), &PLACES, &draft.place))
            (spot.line(("Called", "name", "The header, parameter or field; in JSON a pointer like /auth/token."), &draft.name, JsonPointer::MAX))
            (spot.line(("Behind the word", "auth", "In a header: Bearer, say. Empty: the value alone."), &draft.auth, AuthScheme::MAX))
        }
        (ticked(at, "private", draft.allow_private, "The host may be in a private network"))
        (ticked(at, "foreign", draft.allow_foreign, "Credentials that are none of the run's may stand there, too"))
        (ticked(at, "remove", false, "Remove this rule"))
    }
}

const SCHEMES: [(&str, &str); 2] = [("https", "https"), ("http", "http")];

/// A field's label, its name, and a word about it.
type About<'a> = (&'a str, &'a str, &'a str);

/// Where fields of a rule stand.
struct Spot<'a> {
    at: usize,
    wrong: &'a Wrong,
}

impl Spot<'_> {
    fn line(&self, about: About<'_>, value: &str, most: usize) -> Markup {
        let (id, wrong) = (self.id(about.1), self.wrong.of(about.1));
        let input = html! {
            input #(id) name=(id) value=(value) maxlength=(most) aria-describedby={ (id) "-hint" }
                aria-invalid=[wrong.map(|_| "true")];
        };
        self.field(about, &input)
    }

    fn chosen(&self, about: About<'_>, choices: &[(&str, &str)], chosen: &str) -> Markup {
        let id = self.id(about.1);
        let input = html! {
            select #(id) name=(id) aria-describedby={ (id) "-hint" } {
                @for (value, label) in choices { option value=(value) selected[*value == chosen] { (label) } }
            }
        };
        self.field(about, &input)
    }

    /// A field with its label, and below it what is wrong with it or a word about it.
    fn field(&self, (label, name, hint): About<'_>, input: &Markup) -> Markup {
        let (id, wrong) = (self.id(name), self.wrong.of(name));
        html! {
            div.field {
                label for=(id) { (label) }
                (input)
                small.wrong[wrong.is_some()] #{ (id) "-hint" } { (wrong.unwrap_or(hint)) }
            }
        }
    }

    fn id(&self, name: &str) -> String {
        format!("{name}-{}", self.at)
    }
}

fn ticked(at: usize, name: &str, is_on: bool, label: &str) -> Markup {
    html! {
        label.box {
            input type="checkbox" name={ (name) "-" (at) } value="yes" checked[is_on];
            " " (label)
        }
    }
}
