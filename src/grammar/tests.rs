use super::*;
use serde_json::json;

fn refusal(schema: &Value) -> String {
    Grammar::json_schema(schema).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_expressed_is_named() {
    let of = |keyword: &str, value: Value| json!({"type": "object", "properties": {"a": {"type": "string", keyword: value}}});
    assert_eq!(
        refusal(&of("pattern", json!("^a$"))),
        "#/properties/a: `pattern` is not supported; leave it out, or describe it in the prompt"
    );
    assert!(refusal(&of("format", json!("email"))).contains("`format: \"email\"`"));
    assert!(refusal(&json!({"type": "integer", "minimum": 7})).contains("`minimum: 7`"));
    let both = json!({"type": "integer", "minimum": 0, "exclusiveMinimum": 0});
    assert!(refusal(&both).contains("`exclusiveMinimum beside minimum`"));
    assert!(refusal(&json!({"type": ["integer", "number"], "minimum": 0})).contains("`minimum`"));
    assert!(refusal(&json!({"allOf": [{}, {}]})).contains("`allOf`"));
    assert!(refusal(&json!({"not": {}})).contains("`not`"));
    assert!(refusal(&json!({"type": "array", "uniqueItems": true})).contains("`uniqueItems`"));
}

#[test]
fn what_is_no_schema_is_refused() {
    for schema in [
        json!(7),
        json!(false),
        json!({"type": "text"}),
        json!({"type": 7}),
        json!({"type": ["string", 7]}),
        json!({"properties": []}),
        json!({"type": "object", "required": ["a"]}),
        json!({"enum": []}),
        json!({"anyOf": {}}),
        json!({"$ref": "other.json"}),
        json!({"$ref": "#/$defs/a"}),
        json!({"$ref": "#"}),
        json!({"type": "string", "minLength": -1}),
        json!({"type": "string", "minLength": 3, "maxLength": 2}),
        json!({"type": "array", "maxItems": 1, "minItems": 2}),
    ] {
        let error = Grammar::json_schema(&schema).unwrap_err();
        assert!(matches!(error, SchemaError::Invalid { .. }), "{schema}: {error}");
    }
}

#[test]
fn schemas_are_bounded() {
    let nested = (0..100).fold(json!({}), |inner, _| json!({"type": "array", "items": inner}));
    let wide: Vec<String> = (0..100_000).map(|n| format!("value {n}")).collect();
    let long = json!({"const": "x".repeat(1 << 20)});
    let some: Vec<usize> = (0..800).collect();
    let twice = json!({"anyOf": [{"enum": some}, {"enum": some}]});
    let constants: Vec<Value> = (0..1001).map(|n| json!({ "const": n })).collect();
    for schema in [
        json!({"oneOf": constants}),
        twice,
        nested,
        json!({"enum": wide}),
        json!({"type": "string", "maxLength": 1_000_000}),
        long,
    ] {
        let error = Grammar::json_schema(&schema).unwrap_err();
        assert!(matches!(error, SchemaError::TooLarge { .. }), "{error}");
    }
}
