//! The API as its description tells it: a page for each group of operations.

use maud::{Markup, html};
use serde_json::Value;

use super::markdown::slug;
use super::schema::{Field, Schemas};
use crate::layout::Frame;

/// The methods, in the order in which they are shown.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// What the description tells.
pub(crate) struct Reference {
    version: String,
    about: String,
    groups: Vec<Group>,
}

/// Operations about one thing.
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) operations: Vec<Operation>,
}

/// One operation.
pub(crate) struct Operation {
    pub(crate) id: String,
    /// In capitals.
    method: String,
    path: String,
    summary: String,
    description: String,
    /// The variable in examples that has the token.
    token: Option<&'static str>,
    parameters: Vec<Parameter>,
    body: Vec<Field>,
    example: Option<String>,
    answers: Vec<Answer>,
}

struct Parameter {
    /// `path`, `query` or `header`.
    place: String,
    field: Field,
}

struct Answer {
    status: String,
    description: String,
    fields: Vec<Field>,
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Reference {
    /// Reads a description; what it lacks isn't shown.
    pub(crate) fn read(description: &str) -> Self {
        let description: Value = serde_json::from_str(description).unwrap_or_default();
        let info = description.get("info").unwrap_or(&Value::Null);
        let (version, about) = (text(info, "version"), text(info, "description"));
        let schemas = Schemas::of(&description);
        let mut groups: Vec<_> = description
            .get("tags")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|tag| Group::new(text(tag, "name"), text(tag, "description")))
            .collect();
        let paths = description.get("paths").and_then(Value::as_object).into_iter().flatten();
        for (path, item) in paths {
            let known = METHODS.iter().filter_map(|method| Some((*method, item.get(method)?)));
            for (method, operation) in known {
                let group = operation.pointer("/tags/0").and_then(Value::as_str).unwrap_or("Other");
                let operation = Operation::read((method, path), operation, &schemas);
                let at = groups.iter().position(|known| known.name == group).unwrap_or_else(|| {
                    groups.push(Group::new(group.to_owned(), String::new()));
                    groups.len() - 1
                });
                if let Some(group) = groups.get_mut(at) {
                    group.operations.push(operation);
                }
            }
        }
        Self { version, about, groups }
    }

    /// The API's version.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// What holds for all operations.
    pub(crate) fn about(&self) -> &str {
        &self.about
    }

    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Each group's page, by its path.
    pub(crate) fn pages(&self, frame: &Frame) -> impl Iterator<Item = (String, Markup)> {
        self.groups.iter().map(|group| {
            let path = group.path();
            let page = frame.page(&path, &group.name, &group.content(frame));
            (path, page)
        })
    }
}

impl Group {
    fn new(name: String, about: String) -> Self {
        Self { name, about, operations: Vec::new() }
    }

    /// Where its page is.
    pub(crate) fn path(&self) -> String {
        format!("/docs/api/{}", slug(&self.name))
    }

    fn content(&self, frame: &Frame) -> Markup {
        html! {
            h1 { (self.name) }
            div.lead { (frame.rendered(&self.about)) }
            (self.list(""))
            @for operation in &self.operations { (operation.content(frame)) }
        }
    }

    /// Its operations, as links into its page.
    pub(crate) fn list(&self, page: &str) -> Markup {
        html! {
            ul.plain {
                @for operation in &self.operations {
                    li {
                        a href={ (page) "#" (operation.id) } { (operation.summary) }
                        " " code { (operation.method) " " (operation.path) }
                    }
                }
            }
        }
    }
}

impl Operation {
    fn read((method, path): (&str, &str), operation: &Value, schemas: &Schemas<'_>) -> Self {
        let body = operation.pointer("/requestBody/content/application~1json/schema");
        let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
        let answers = operation.get("responses").and_then(Value::as_object).into_iter().flatten();
        Self {
            id: text(operation, "operationId"),
            method: method.to_ascii_uppercase(),
            path: path.to_owned(),
            summary: text(operation, "summary"),
            description: text(operation, "description"),
            token: token(operation),
            parameters: parameters
                .map(|parameter| Parameter {
                    place: text(parameter, "in"),
                    field: schemas.parameter(parameter),
                })
                .collect(),
            body: body.map(|body| schemas.fields(body)).unwrap_or_default(),
            example: body.and_then(|body| schemas.example(body)),
            answers: answers
                .map(|(status, answer)| Answer {
                    status: status.clone(),
                    description: text(answer, "description"),
                    fields: answer
                        .pointer("/content/application~1json/schema")
                        .map(|schema| schemas.fields(schema))
                        .unwrap_or_default(),
                })
                .collect(),
        }
    }

    fn content(&self, frame: &Frame) -> Markup {
        let (done, refused): (Vec<_>, Vec<_>) =
            self.answers.iter().partition(|answer| answer.status.starts_with('2'));
        html! {
            section.operation aria-labelledby=(self.id) {
                h2 id=(self.id) { (self.summary) }
                p.call { span.method { (self.method) } " " code { (self.path) } " " span.id { (self.id) } }
                (frame.rendered(&self.description))
                pre tabindex="0" { code { (self.curl()) } }
                @for (place, heading) in [("path", "In the path"), ("query", "In the query"), ("header", "Headers")] {
                    (table(frame, heading, self.in_place(place).collect(), true))
                }
                (table(frame, "Body", self.body.iter().collect(), true))
                @for answer in done {
                    h3 { "Answer " (answer.status) }
                    (frame.rendered(&answer.description))
                    (table(frame, "", answer.fields.iter().collect(), false))
                }
                @if !refused.is_empty() {
                    details {
                        summary { "Errors" }
                        dl {
                            @for answer in refused {
                                dt { (answer.status) }
                                dd { (frame.inline(&answer.description)) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn in_place(&self, place: &str) -> impl Iterator<Item = &Field> {
        self.parameters
            .iter()
            .filter(move |parameter| parameter.place == place)
            .map(|parameter| &parameter.field)
    }

    /// A call of it, to be pasted into a shell.
    fn curl(&self) -> String {
        let method = if self.method == "GET" { String::new() } else { format!(" -X {}", self.method) };
        let mut call =
            format!("curl{method} \"$STRONGROOM_URL{}\"", self.path.replace('{', "$").replace('}', ""));
        if let Some(token) = self.token {
            call.push_str(" \\\n  -H \"Authorization: Bearer ");
            call.push_str(token);
            call.push('"');
        }
        if let Some(example) = &self.example {
            call.push_str(" \\\n  -H 'Content-Type: application/json' \\\n  -d '");
            call.push_str(&example.replace('\'', "'\\''"));
            call.push('\'');
        }
        call
    }
}

/// The variable that has the token for an operation: an API key's where nothing
/// else is said.
fn token(operation: &Value) -> Option<&'static str> {
    let Some(ways) = operation.get("security").and_then(Value::as_array) else {
        return Some("$STRONGROOM_API_KEY");
    };
    let way = ways.first()?.as_object()?.keys().next()?;
    Some(match way.as_str() {
        "runToken" => "$STRONGROOM_RUN_TOKEN",
        "keyLink" => "$STRONGROOM_LINK",
        _ => "$STRONGROOM_API_KEY",
    })
}

/// Fields, a line each; of a request those are marked that it must have.
fn table(frame: &Frame, heading: &str, fields: Vec<&Field>, of_request: bool) -> Markup {
    html! {
        @if !fields.is_empty() {
            @if !heading.is_empty() { h3 { (heading) } }
            div.scroll tabindex="0" role="group" aria-label=(if heading.is_empty() { "Answer" } else { heading }) {
                table {
                    thead { tr { th scope="col" { "Name" } th scope="col" { "Type" } th scope="col" { "Meaning" } } }
                    tbody {
                        @for field in fields {
                            tr {
                                th scope="row" { code { (field.name) } @if of_request && field.required { " " span.needed { "required" } } }
                                td { (field.kind) }
                                td { (frame.inline(&field.description)) @if !field.rule.is_empty() { " " span.rule { (field.rule) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}
