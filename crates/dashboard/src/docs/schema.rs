//! Schemas in words: every field that a body has, each in a line.

use serde_json::Value;

/// How deep what is within something else is followed.
const DEPTH: usize = 4;

/// A field, of a body or by itself.
pub(crate) struct Field {
    /// With what it is within: `data[].id`.
    pub(crate) name: String,
    /// Its type, in words.
    pub(crate) kind: String,
    /// What it must be, beyond its type.
    pub(crate) rule: String,
    pub(crate) required: bool,
    pub(crate) description: String,
}

/// The schemas of a description.
pub(crate) struct Schemas<'a> {
    description: &'a Value,
}

impl<'a> Schemas<'a> {
    pub(crate) fn of(description: &'a Value) -> Self {
        Self { description }
    }

    /// A parameter as a field.
    pub(crate) fn parameter(&self, parameter: &'a Value) -> Field {
        let schema = parameter.get("schema").unwrap_or(&Value::Null);
        let required = parameter.get("required").and_then(Value::as_bool).unwrap_or(false);
        let name = parameter.get("name").and_then(Value::as_str).unwrap_or_default();
        let field = self.field(name.to_owned(), schema, required);
        let said = parameter.get("description").and_then(Value::as_str);
        Field { description: said.map_or(field.description, str::to_owned), ..field }
    }

    /// Each field of a body.
    pub(crate) fn fields(&self, schema: &'a Value) -> Vec<Field> {
        let mut fields = Vec::new();
        self.within("", schema, 0, &mut fields);
        fields
    }

    /// A body's example, as JSON.
    pub(crate) fn example(&self, schema: &'a Value) -> Option<String> {
        let schema = self.resolved(schema);
        let example = schema.get("example").or_else(|| schema.pointer("/examples/0"))?;
        serde_json::to_string(example).ok()
    }

    fn within(&self, path: &str, schema: &'a Value, depth: usize, fields: &mut Vec<Field>) {
        let schema = self.resolved(schema);
        if let Some(items) = schema.get("items") {
            return self.within(&format!("{path}[]"), items, depth, fields);
        }
        if depth == DEPTH {
            return;
        }
        let required = schema.get("required").and_then(Value::as_array);
        let required =
            |name: &str| required.is_some_and(|names| names.iter().any(|known| known.as_str() == Some(name)));
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.within(path, part, depth, fields);
        }
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let place = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            fields.push(self.field(place.clone(), property, required(name)));
            self.within(&place, property, depth + 1, fields);
        }
    }

    fn field(&self, name: String, schema: &'a Value, required: bool) -> Field {
        let target = self.resolved(schema);
        let said = [schema, target].iter().find_map(|schema| schema.get("description")?.as_str());
        Field {
            name,
            kind: self.kind(schema),
            rule: self.rule(target),
            required,
            description: said.unwrap_or_default().to_owned(),
        }
    }

    /// What a reference names, and what may also be null without that.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let found = name.strip_prefix('#').and_then(|pointer| self.description.pointer(pointer));
            return found.map_or(&Value::Null, |found| self.resolved(found));
        }
        choices(schema).find(|choice| !is_null(choice)).map_or(schema, |choice| self.resolved(choice))
    }

    fn kind(&self, schema: &'a Value) -> String {
        let target = self.resolved(schema);
        let kinds: Vec<_> = match target.get("type") {
            Some(Value::String(kind)) => vec![kind.as_str()],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let null = kinds.contains(&"null") || choices(schema).any(is_null);
        let first = match kinds.iter().find(|kind| **kind != "null") {
            _ if target.get("allOf").is_some() => "object",
            Some(kind) => kind,
            None => "any",
        };
        let word = match (first, target.get("format").and_then(Value::as_str)) {
            ("string", Some("uuid")) => "uuid".to_owned(),
            ("string", Some("date-time")) => "date and time".to_owned(),
            ("array", _) => match target.get("items") {
                Some(items) => format!("list of {}", self.kind(items)),
                None => "list".to_owned(),
            },
            ("object", _) => match target.get("additionalProperties").filter(|values| values.is_object()) {
                Some(values) => format!("object of {}", self.kind(values)),
                None => "object".to_owned(),
            },
            (other, _) => other.to_owned(),
        };
        if null { format!("{word} or null") } else { word }
    }

    /// What a value must be, beyond its type, and what each within it must be.
    fn rule(&self, schema: &'a Value) -> String {
        let names = schema.pointer("/propertyNames/pattern").and_then(Value::as_str);
        let names = names.map(|pattern| format!("Names match {pattern}."));
        let each = schema
            .get("items")
            .or_else(|| schema.get("additionalProperties"))
            .filter(|each| each.is_object());
        let each = each.map(|each| rules(self.resolved(each)).join(" ")).filter(|rules| !rules.is_empty());
        let mut all = rules(schema);
        all.extend(names);
        all.extend(each.map(|rules| format!("Each: {rules}")));
        all.join(" ")
    }
}

/// What a schema lets a value be one of.
fn choices(schema: &Value) -> impl Iterator<Item = &Value> {
    let choices = schema.get("oneOf").or_else(|| schema.get("anyOf"));
    choices.and_then(Value::as_array).into_iter().flatten()
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// What a value itself must be, beyond its type, a sentence each.
fn rules(schema: &Value) -> Vec<String> {
    let words = schema.get("enum").and_then(Value::as_array);
    let words = words.map(|words| words.iter().map(plain).collect::<Vec<_>>());
    let default = schema.get("default");
    [
        words.map(|words| format!("One of {}.", words.join(", "))),
        between(schema, ("minimum", "maximum"), ""),
        between(schema, ("minLength", "maxLength"), " characters"),
        between(schema, ("minItems", "maxItems"), " of them"),
        default.map(|default| format!("Without it: {}.", plain(default))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Between which bounds something must be.
fn between(schema: &Value, (least, most): (&str, &str), of: &str) -> Option<String> {
    let number = |name: &str| schema.get(name).and_then(Value::as_u64);
    Some(match (number(least), number(most)) {
        (Some(least), Some(most)) if least == most => format!("{least}{of}."),
        (Some(least), Some(most)) => format!("{least} to {most}{of}."),
        (Some(least), None) => format!("At least {least}{of}."),
        (None, Some(most)) => format!("At most {most}{of}."),
        (None, None) => return None,
    })
}

/// A value without the quotes of JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_told_with_what_they_are_within() {
        let description = json!({"components": {"schemas": {
        "Inner": {"type": "object", "properties": {"id": {"type": "string", "format": "uuid"}}},
        "Outer": {"type": "object", "required": ["data"], "properties": {
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Inner"}},
            "one": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Inner", "description": "this one"}]},
            "count": {"type": ["integer", "null"], "minimum": 1, "maximum": 9, "default": 2},
            "self": {"$ref": "#/components/schemas/Outer"},
        }}}}});
        let schemas = Schemas::of(&description);
        let outer = json!({"$ref": "#/components/schemas/Outer"});
        let fields = schemas.fields(&outer);
        let told = |name: &str| {
            let field = fields.iter().find(|field| field.name == name).unwrap();
            (field.kind.as_str(), field.required, field.rule.as_str())
        };
        assert_eq!(told("data"), ("list of object", true, ""));
        assert_eq!(told("data[].id"), ("uuid", false, ""));
        assert_eq!(told("one"), ("object or null", false, ""));
        assert_eq!(told("count"), ("integer or null", false, "1 to 9. Without it: 2."));
        assert!(fields.iter().any(|field| field.name == "self.self.self.self"), "followed, but not for ever");
    }
}
