//! JSON schemas as grammars: a documented subset, everything else is refused by name.
//!
//! | Of | supported is |
//! |---|---|
//! | objects | `properties`, `required`, `additionalProperties` (free keys only where no property is declared) |
//! | arrays | `items`, `prefixItems`, `minItems`, `maxItems` |
//! | strings | `minLength`, `maxLength`, `format` of `date`, `time`, `date-time`, `uuid` |
//! | integers | `minimum` of 0 or 1, `exclusiveMinimum` of 0 |
//! | all | `type`, `enum`, `const`, `anyOf`, `oneOf`, `allOf` of one schema, `$ref` into the schema itself |
//!
//! There are at most 1,500 values and 1,000 alternatives in all.

mod convert;

use self::convert::Converter;
use serde_json::Value;
use std::fmt::Write as _;

/// Why a schema is no grammar.
#[allow(missing_docs, reason = "the message names each field")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A keyword, or a value of it, that is not expressed.
    #[error("{at}: `{keyword}` is not supported; leave it out, or describe it in the prompt")]
    Unsupported { at: String, keyword: String },
    /// The schema is not one.
    #[error("{at}: {reason}")]
    Invalid { at: String, reason: String },
    /// Too deep, too many rules, or too many repetitions.
    #[error("{at}: the schema is too large; {what}")]
    TooLarge { at: String, what: &'static str },
}

/// Rules that others are made of. Blanks are bounded: a model that is fond of them would never end.
const BASE: [(&str, &str); 15] = [
    ("ws", r#"[ \n]? | "\n" " "{1,16}"#),
    ("char", r#"[^"\\\x00-\x1f\x7f] | "\\" (["\\/bfnrt] | "u" hex{4})"#),
    ("hex", "[0-9a-fA-F]"),
    ("digit", "[0-9]"),
    ("string", r#""\"" char* "\"""#),
    ("positive", "[1-9] digit{0,15}"),
    ("natural", r#""0" | positive"#),
    ("integer", r#""-"? natural"#),
    ("number", r#"integer ("." digit{1,16})? ([eE] [-+]? digit{1,3})?"#),
    ("boolean", r#""true" | "false""#),
    ("null", r#""null""#),
    ("value", "object | array | string | number | boolean | null"),
    ("member", r#"string ws ":" ws value"#),
    ("object", r#""{" ws (member (ws "," ws member)*)? ws "}""#),
    ("array", r#""[" ws (value (ws "," ws value)*)? ws "]""#),
];

const FORMATS: [(&str, &str); 4] = [
    ("date", r#"digit{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [12] digit | "3" [01])"#),
    ("time", r#"clock ("." digit{1,9})? ("Z" | [-+] ([01] digit | "2" [0-3]) ":" [0-5] digit)"#),
    ("date-time", r#"date "T" time"#),
    ("uuid", r#"hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12}"#),
];

const CLOCK: (&str, &str) = ("clock", r#"([01] digit | "2" [0-3]) ":" [0-5] digit ":" [0-5] digit"#);

pub(super) fn any_object() -> String {
    with_base("object", &[])
}

pub(super) fn grammar(schema: &Value) -> Result<String, SchemaError> {
    let (root, rules) = Converter::convert(schema)?;
    Ok(with_base(&root, &rules))
}

fn with_base(root: &str, rules: &[(String, String)]) -> String {
    let mut text = String::new();
    let base = BASE.iter().chain(&FORMATS).chain([&CLOCK]).copied();
    let rules = rules.iter().map(|(name, rule)| (name.as_str(), rule.as_str()));
    for (name, rule) in [("root", root)].into_iter().chain(base).chain(rules) {
        let _ = writeln!(text, "{name} ::= {rule}");
    }
    text
}
