//! Lists and texts as Python prints them: toolkits write lists into cells that way, and old pickles their texts.

use std::str::Chars;

/// The items of `['a', "b's", 3]` as texts; `None` if that is not what `text` is.
pub(super) fn list(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
    let mut items = Vec::new();
    while !rest.is_empty() {
        let item = if rest.starts_with(['\'', '"']) {
            let (item, after) = quoted(rest)?;
            rest = after.trim_start();
            item
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let item = rest[..end].trim();
            item.parse::<f64>().ok()?;
            rest = &rest[end..];
            item.to_owned()
        };
        items.push(item);
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    Some(items)
}

/// A quoted text at the start of `text`, and what follows it.
pub(super) fn quoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.chars();
    let quote = chars.next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut out = String::new();
    loop {
        match chars.next()? {
            c if c == quote => return Some((out, chars.as_str())),
            '\\' => out.push(escaped(&mut chars)?),
            c => out.push(c),
        }
    }
}

fn escaped(chars: &mut Chars<'_>) -> Option<char> {
    let n_digits = match chars.next()? {
        'n' => return Some('\n'),
        't' => return Some('\t'),
        'r' => return Some('\r'),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        c => return Some(c),
    };
    let digits: String = chars.by_ref().take(n_digits).collect();
    char::from_u32(u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == n_digits)?)
}

#[cfg(test)]
mod tests {
    use super::list;

    #[test]
    fn lists_are_read_as_python_prints_them() {
        let check = |text: &str, expect: &[&str]| {
            let expect: Vec<String> = expect.iter().map(|&item| item.to_owned()).collect();
            assert_eq!(list(text), Some(expect), "{text}");
        };
        check("[]", &[]);
        check("['a']", &["a"]);
        check(r#" ['a', "b's", 'c\'d', 'x, y', ''] "#, &["a", "b's", "c'd", "x, y", ""]);
        check(r"['\u00e9\xe9\\n\n']", &["éé\\n\n"]);
        check("[1, 2.5, -3]", &["1", "2.5", "-3"]);
        check("['a',]", &["a"]);
    }

    #[test]
    fn other_texts_are_no_lists() {
        for text in ["", "a", "[a]", "['a'", "['a' 'b']", "[1 2]", "['a\\u12']", "[,]", "['a', b]", "['\\"] {
            assert_eq!(list(text), None, "{text}");
        }
    }
}
