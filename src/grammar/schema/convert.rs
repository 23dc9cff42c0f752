//! One schema after the other into expressions and rules.

use super::{FORMATS, SchemaError};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const MAX_DEPTH: usize = 32;
const MAX_RULES: usize = 2048;
/// Values of enumerations and constants together, of which OpenAI takes 1,000, and alternatives; llama.cpp follows 2,048 ways to
/// go on (patch 0013).
const MAX_VALUES: usize = 1500;
const MAX_ALTERNATIVES: usize = 1000;
const MAX_BYTES: usize = 256 << 10;
/// llama.cpp refuses more than twice as many.
const MAX_REPETITIONS: u64 = 1000;

/// Keywords that say nothing about what is valid.
const ANNOTATIONS: [&str; 12] = [
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$comment",
    "$schema",
    "$id",
    "$defs",
    "definitions",
];

type Schema = Map<String, Value>;
type Result<T> = std::result::Result<T, SchemaError>;

pub(super) struct Converter<'a> {
    document: &'a Value,
    /// Names and expressions.
    rules: Vec<(String, String)>,
    /// Rule of each `$ref`.
    references: BTreeMap<&'a str, String>,
    n_bytes: usize,
    n_values: usize,
    n_alternatives: usize,
}

impl<'a> Converter<'a> {
    /// The expression of the whole document, and the rules that it uses.
    pub fn convert(document: &'a Value) -> Result<(String, Vec<(String, String)>)> {
        let mut converter = Self {
            document,
            rules: Vec::new(),
            references: BTreeMap::new(),
            n_bytes: 0,
            n_values: 0,
            n_alternatives: 0,
        };
        let root = converter.visit(document, "#", 0)?;
        // A constant has no rule of its own.
        if root.len() > MAX_BYTES {
            return Err(too_large("#", "use fewer properties and values"));
        }
        Ok((root, converter.rules))
    }

    /// An expression for the documents of `schema` that can stand anywhere.
    fn visit(&mut self, schema: &'a Value, at: &str, depth: usize) -> Result<String> {
        if depth > MAX_DEPTH {
            return Err(too_large(at, "nest fewer schemas"));
        }
        let schema = match schema {
            Value::Bool(true) => return Ok("value".to_owned()),
            Value::Object(schema) => schema,
            _ => return Err(invalid(at, "a schema is an object, or true")),
        };
        let below = |keyword: &str| format!("{at}/{keyword}");
        if let Some(name) = schema.get("$ref") {
            only(schema, &["$ref"], at)?;
            return self.reference(name, &below("$ref"), depth);
        }
        if let Some(value) = schema.get("const") {
            only(schema, &["const", "type"], at)?;
            self.count_values(1, at)?;
            return Ok(literal(value));
        }
        if let Some(values) = schema.get("enum") {
            only(schema, &["enum", "type"], at)?;
            let values = list(values, &below("enum"))?;
            self.count_values(values.len(), at)?;
            return self.rule(values.iter().map(literal).collect::<Vec<_>>().join(" | "), at);
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(schemas) = schema.get(keyword) {
                only(schema, &[keyword], at)?;
                let schemas = list(schemas, &below(keyword))?;
                self.n_alternatives += schemas.len();
                if self.n_alternatives > MAX_ALTERNATIVES {
                    return Err(too_large(at, "use fewer alternatives"));
                }
                let each: Result<Vec<_>> = schemas.iter().map(|s| self.visit(s, &below(keyword), depth + 1)).collect();
                return self.rule(each?.join(" | "), at);
            }
        }
        if let Some(schemas) = schema.get("allOf") {
            only(schema, &["allOf"], at)?;
            return match list(schemas, &below("allOf"))? {
                [schema] => self.visit(schema, &below("allOf"), depth + 1),
                _ => Err(unsupported(at, "allOf")),
            };
        }
        let kinds = match schema.get("type") {
            Some(Value::String(kind)) => vec![kind.as_str()],
            Some(Value::Array(kinds)) if !kinds.is_empty() => {
                kinds.iter().map(|kind| kind.as_str().unwrap_or("")).collect()
            }
            Some(_) => return Err(invalid(at, "`type` is a name or a list of names")),
            None => ["object", "array"]
                .into_iter()
                .filter(|kind| keywords(kind).iter().any(|key| schema.contains_key(*key)))
                .take(1)
                .collect(),
        };
        let known: Vec<&str> = kinds.iter().flat_map(|kind| keywords(kind)).copied().chain(["type"]).collect();
        only(schema, &known, at)?;
        // They bound numbers, too.
        if kinds.contains(&"number")
            && let Some(keyword) = keywords("integer").iter().find(|keyword| schema.contains_key(**keyword))
        {
            return Err(unsupported(at, keyword));
        }
        if kinds.is_empty() {
            return Ok("value".to_owned());
        }
        let each: Result<Vec<_>> = kinds.iter().map(|kind| self.typed(kind, schema, at, depth)).collect();
        self.rule(each?.join(" | "), at)
    }

    fn typed(&mut self, kind: &str, schema: &'a Schema, at: &str, depth: usize) -> Result<String> {
        match kind {
            "object" => self.object(schema, at, depth),
            "array" => self.array(schema, at, depth),
            "string" => string(schema, at),
            "integer" => integer(schema, at),
            "number" | "boolean" | "null" => Ok(kind.to_owned()),
            _ => Err(invalid(at, &format!("`{kind}` is no type"))),
        }
    }

    fn object(&mut self, schema: &'a Schema, at: &str, depth: usize) -> Result<String> {
        let properties = match schema.get("properties") {
            Some(Value::Object(properties)) => Some(properties),
            Some(_) => return Err(invalid(at, "`properties` is an object")),
            None => None,
        };
        let required = schema.get("required").map_or(Ok(&[][..]), |names| strings(names, at))?;
        let is_declared =
            |name: &Value| properties.is_some_and(|all| name.as_str().is_some_and(|name| all.contains_key(name)));
        if let Some(name) = required.iter().find(|name| !is_declared(name)) {
            return Err(invalid(at, &format!("{name} is required, but not among the properties")));
        }
        let Some(properties) = properties.filter(|properties| !properties.is_empty()) else {
            return match schema.get("additionalProperties") {
                Some(Value::Bool(false)) => Ok(r#""{" ws "}""#.to_owned()),
                Some(schema) => {
                    let value = self.visit(schema, &format!("{at}/additionalProperties"), depth + 1)?;
                    let member = self.rule(format!(r#"string ws ":" ws {value}"#), at)?;
                    Ok(format!(r#""{{" ws ({member} (ws "," ws {member})*)? ws "}}""#))
                }
                None => Ok("object".to_owned()),
            };
        };
        let is_required = |name: &str| required.iter().any(|required| required == name);
        let mut members = Vec::new();
        for (name, schema) in properties {
            let value = self.visit(schema, &format!("{at}/properties/{name}"), depth + 1)?;
            let name = literal(&Value::from(name.as_str()));
            members.push(self.rule(format!(r#"{name} ws ":" ws {value}"#), at)?);
        }
        // What may come behind each property, from the last to the first.
        let mut behind = vec![String::new()];
        for (member, name) in members.iter().zip(properties.keys()).rev() {
            let after = behind.last().map_or("", String::as_str);
            let member = format!(r#"ws "," ws {member}"#);
            let rule = if is_required(name) { format!("{member} {after}") } else { format!("({member})? {after}") };
            behind.push(self.rule(rule, at)?);
        }
        behind.reverse();
        // Nothing that is required is skipped at the beginning.
        let first_required = properties.keys().position(|name| is_required(name));
        let n_first = first_required.map_or(members.len(), |first| first + 1);
        let starts =
            members.iter().zip(&behind[1..]).take(n_first).map(|(member, behind)| format!("{member} {behind}"));
        let starts = starts.collect::<Vec<_>>().join(" | ");
        let or_none = if first_required.is_some() { "" } else { "?" };
        Ok(format!(r#""{{" ws ({starts}){or_none} ws "}}""#))
    }

    fn array(&mut self, schema: &'a Schema, at: &str, depth: usize) -> Result<String> {
        let first = schema.get("prefixItems").map_or(Ok(&[][..]), |schemas| list(schemas, at))?;
        let first: Result<Vec<_>> =
            first.iter().map(|schema| self.visit(schema, &format!("{at}/prefixItems"), depth + 1)).collect();
        let first = first?;
        let least = number(schema, "minItems", at)?.unwrap_or(0);
        let most = number(schema, "maxItems", at)?;
        let item = match schema.get("items") {
            Some(Value::Bool(false)) => None,
            Some(schema) => Some(self.visit(schema, &format!("{at}/items"), depth + 1)?),
            None if !first.is_empty() => None, // fewer are valid, too
            None => Some("value".to_owned()),
        };
        let n_first = first.len() as u64;
        if most.is_some_and(|most| most < least.max(n_first)) || (item.is_none() && least > n_first) {
            return Err(invalid(at, "no array has so many items and so few"));
        }
        let first = first.join(r#" ws "," ws "#);
        let (least, most) = (least.saturating_sub(n_first), most.map(|most| most - n_first));
        let Some(item) = item.filter(|_| most != Some(0)) else {
            return Ok(format!(r#""[" ws {first} ws "]""#));
        };
        let comma = format!(r#"(ws "," ws {item})"#);
        let rest = |taken: u64| {
            let least = least.saturating_sub(taken);
            most.map_or_else(|| format!("{comma}{{{least},}}"), |most| format!("{comma}{{{least},{}}}", most - taken))
        };
        let items = match (first.is_empty(), least) {
            (false, _) => format!("{first} {}", rest(0)),
            (true, 0) => format!("({item} {})?", rest(1)),
            (true, _) => format!("{item} {}", rest(1)),
        };
        Ok(format!(r#""[" ws {items} ws "]""#))
    }

    fn reference(&mut self, name: &'a Value, at: &str, depth: usize) -> Result<String> {
        let name = name.as_str().ok_or_else(|| invalid(at, "`$ref` is a text"))?;
        if let Some(rule) = self.references.get(name) {
            return Ok(rule.clone());
        }
        let pointer = name
            .strip_prefix('#')
            .ok_or_else(|| invalid(at, "only references into the schema itself (#/…) are followed"))?;
        let schema = self.document.pointer(pointer).ok_or_else(|| invalid(at, &format!("there is no {name}")))?;
        let rule = format!("ref-{}", self.references.len());
        // Known before it is made, since it may be part of itself.
        self.references.insert(name, rule.clone());
        let expression = self.visit(schema, name, depth + 1)?;
        if expression == rule {
            return Err(invalid(at, "it refers to nothing but itself"));
        }
        self.add(rule.clone(), expression, at)?;
        Ok(rule)
    }

    fn count_values(&mut self, n: usize, at: &str) -> Result<()> {
        self.n_values += n;
        if self.n_values > MAX_VALUES {
            return Err(too_large(at, "use fewer values"));
        }
        Ok(())
    }

    /// Gives an expression a name.
    fn rule(&mut self, expression: String, at: &str) -> Result<String> {
        let name = format!("rule-{}", self.rules.len());
        self.add(name.clone(), expression, at)?;
        Ok(name)
    }

    fn add(&mut self, name: String, expression: String, at: &str) -> Result<()> {
        self.n_bytes += name.len() + expression.len();
        if self.rules.len() >= MAX_RULES || self.n_bytes > MAX_BYTES {
            return Err(too_large(at, "use fewer properties and values"));
        }
        self.rules.push((name, expression));
        Ok(())
    }
}

/// Keywords of a type.
fn keywords(kind: &str) -> &'static [&'static str] {
    match kind {
        "object" => &["properties", "required", "additionalProperties"],
        "array" => &["items", "prefixItems", "minItems", "maxItems"],
        "string" => &["minLength", "maxLength", "format"],
        "integer" => &["minimum", "exclusiveMinimum"],
        _ => &[],
    }
}

fn string(schema: &Schema, at: &str) -> Result<String> {
    let (least, most) = (number(schema, "minLength", at)?, number(schema, "maxLength", at)?);
    if let Some(format) = schema.get("format") {
        let known = FORMATS.iter().find(|(name, _)| format == name && least.is_none() && most.is_none());
        let (name, _) = known.ok_or_else(|| unsupported(at, &format!("format: {format}")))?;
        return Ok(format!(r#""\"" {name} "\"""#));
    }
    match (least.unwrap_or(0), most) {
        (0, None) => Ok("string".to_owned()),
        (least, None) => Ok(format!(r#""\"" char{{{least},}} "\"""#)),
        (least, Some(most)) if least <= most => Ok(format!(r#""\"" char{{{least},{most}}} "\"""#)),
        _ => Err(invalid(at, "no text is so long and so short")),
    }
}

fn integer(schema: &Schema, at: &str) -> Result<String> {
    if schema.contains_key("minimum") && schema.contains_key("exclusiveMinimum") {
        return Err(unsupported(at, "exclusiveMinimum beside minimum"));
    }
    for (keyword, expression) in [("minimum", "natural"), ("exclusiveMinimum", "positive")] {
        match schema.get(keyword) {
            Some(value) if value.as_f64() == Some(0.0) => return Ok(expression.to_owned()),
            Some(value) if keyword == "minimum" && value.as_f64() == Some(1.0) => return Ok("positive".to_owned()),
            Some(value) => return Err(unsupported(at, &format!("{keyword}: {value}"))),
            None => {}
        }
    }
    Ok("integer".to_owned())
}

/// A value's JSON text as a GBNF literal.
fn literal(value: &Value) -> String {
    let mut text = String::from('"');
    for c in value.to_string().chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c => text.push(c), // JSON has no control characters
        }
    }
    text.push('"');
    text
}

fn number(schema: &Schema, keyword: &str, at: &str) -> Result<Option<u64>> {
    let Some(value) = schema.get(keyword) else { return Ok(None) };
    let number = value.as_u64().ok_or_else(|| invalid(at, &format!("`{keyword}` is a number from 0 on")))?;
    if number > MAX_REPETITIONS {
        return Err(too_large(at, "ask for fewer characters and items"));
    }
    Ok(Some(number))
}

fn list<'a>(value: &'a Value, at: &str) -> Result<&'a [Value]> {
    let list = value.as_array().filter(|list| !list.is_empty());
    list.map(Vec::as_slice).ok_or_else(|| invalid(at, "this is a list that is not empty"))
}

fn strings<'a>(value: &'a Value, at: &str) -> Result<&'a [Value]> {
    let list = value.as_array().filter(|list| list.iter().all(Value::is_string));
    list.map(Vec::as_slice).ok_or_else(|| invalid(at, "`required` is a list of names"))
}

fn only(schema: &Schema, known: &[&str], at: &str) -> Result<()> {
    let is_known = |keyword: &str| known.contains(&keyword) || ANNOTATIONS.contains(&keyword);
    match schema.keys().find(|keyword| !is_known(keyword)) {
        Some(keyword) => Err(unsupported(at, keyword)),
        None => Ok(()),
    }
}

fn unsupported(at: &str, keyword: &str) -> SchemaError {
    SchemaError::Unsupported { at: at.to_owned(), keyword: keyword.to_owned() }
}

fn invalid(at: &str, reason: &str) -> SchemaError {
    SchemaError::Invalid { at: at.to_owned(), reason: reason.to_owned() }
}

fn too_large(at: &str, what: &'static str) -> SchemaError {
    SchemaError::TooLarge { at: at.to_owned(), what }
}
