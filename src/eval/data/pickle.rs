//! Python pickles of plain data, protocols 0 to 4: what RefCOCO's `refs(...).p` files are.
//!
//! A pickle is a program for a stack machine. The instructions that import and call code are refused; the others build
//! values in one flat list, so that neither deep nor self-containing pickles can exhaust stack or memory.

use serde_json::{Map, Number, Value};

use super::python;

/// Where a pickle is wrong, and how.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PickleError {
    /// Offset of the instruction.
    pub(super) at: usize,
    pub(super) problem: String,
}

/// The value of a pickle; tuples are lists, and keys that are numbers are texts.
pub(super) fn value(bytes: &[u8]) -> Result<Value, PickleError> {
    let mut machine =
        Machine { bytes, next: 0, nodes: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: Vec::new() };
    loop {
        let at = machine.next;
        let named = |problem| PickleError { at, problem };
        if let Some(root) = machine.step().map_err(named)? {
            let mut left = bytes.len();
            return machine.unfold(root, 0, &mut left).map_err(named);
        }
    }
}

/// Nesting that data can have.
const DEEPEST: usize = 32;

enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<usize>),
    Dict(Vec<(usize, usize)>),
}

struct Machine<'a> {
    bytes: &'a [u8],
    next: usize,
    nodes: Vec<Node>,
    /// Indices of nodes.
    stack: Vec<usize>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: Vec<Option<usize>>,
}

impl Machine<'_> {
    /// Runs one instruction; the root is given by the last one.
    fn step(&mut self) -> Result<Option<usize>, String> {
        let [code] = self.take()?;
        match code {
            0x80 => drop(self.take::<1>()?),
            0x95 => drop(self.take::<8>()?),
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.popped()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'K' => self.counted::<1>(|n| Node::Int(n as i64))?,
            b'M' => self.counted::<2>(|n| Node::Int(n as i64))?,
            b'J' => {
                let number = i32::from_le_bytes(self.take()?);
                self.push(Node::Int(number.into()));
            }
            b'I' | b'L' => {
                let node = integer(self.line()?)?;
                self.push(node);
            }
            0x8a => {
                let length = self.length::<1>()?;
                self.long(length)?;
            }
            0x8b => {
                let length = self.length::<4>()?;
                self.long(length)?;
            }
            b'F' => {
                let line = self.line()?;
                let number = line.parse().map_err(|_| format!("`{line}` is no number"))?;
                self.push(Node::Float(number));
            }
            b'G' => {
                let number = f64::from_be_bytes(self.take()?);
                self.push(Node::Float(number));
            }
            b'S' => {
                let line = self.line()?;
                let text = python::quoted(line).filter(|(_, rest)| rest.is_empty());
                let (text, _) = text.ok_or("a text without its quotes")?;
                self.push(Node::Text(text));
            }
            b'V' => {
                let text = unescaped(self.line_bytes()?)?;
                self.push(Node::Text(text));
            }
            b'U' | b'C' | 0x8c => self.text::<1>()?,
            b'T' | b'B' | b'X' => self.text::<4>()?,
            0x8d | 0x8e => self.text::<8>()?,
            b']' | b')' => self.push(Node::List(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b'l' | b't' => {
                let items = self.popped()?;
                self.push(Node::List(items));
            }
            0x85..=0x87 => {
                let start = self.stack.len().checked_sub(usize::from(code) - 0x84).ok_or("the stack is empty")?;
                let items = self.stack.split_off(start);
                self.push(Node::List(items));
            }
            b'd' => {
                let items = pairs(&self.popped()?)?;
                self.push(Node::Dict(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(&[item])?;
            }
            b'e' => {
                let items = self.popped()?;
                self.extend(&items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(&[key, value])?;
            }
            b'u' => {
                let items = self.popped()?;
                self.insert(&items)?;
            }
            b'p' | b'g' => {
                let line = self.line()?;
                let slot = line.parse().map_err(|_| format!("`{line}` is no number"))?;
                self.remember(code == b'p', slot)?;
            }
            b'q' | b'h' => {
                let slot = self.length::<1>()?;
                self.remember(code == b'q', slot)?;
            }
            b'r' | b'j' => {
                let slot = self.length::<4>()?;
                self.remember(code == b'r', slot)?;
            }
            0x94 => self.remember(true, self.memo.len())?,
            b'c' | b'R' | b'b' | b'i' | b'o' | 0x81 | 0x82..=0x84 | 0x92 | 0x93 => {
                return Err("it would run code, which data need not; save it again as plain lists and dicts".to_owned());
            }
            code => return Err(format!("no pickle of plain data: unknown instruction 0x{code:02x}")),
        }
        Ok(None)
    }

    fn push(&mut self, node: Node) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    fn counted<const N: usize>(&mut self, node: fn(usize) -> Node) -> Result<(), String> {
        let number = self.length::<N>()?;
        self.push(node(number));
        Ok(())
    }

    fn text<const N: usize>(&mut self) -> Result<(), String> {
        let length = self.length::<N>()?;
        let text = String::from_utf8_lossy(self.slice(length)?).into_owned();
        self.push(Node::Text(text));
        Ok(())
    }

    /// A signed number of `length` bytes, the least first.
    fn long(&mut self, length: usize) -> Result<(), String> {
        let bytes = self.slice(length)?;
        let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut wide = [sign; 8];
        wide.get_mut(..length).ok_or("a number of more than 64 bits")?.copy_from_slice(bytes);
        self.push(Node::Int(i64::from_le_bytes(wide)));
        Ok(())
    }

    fn pop(&mut self) -> Result<usize, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn top(&self) -> Result<usize, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack.get(floor..).and_then(<[usize]>::last).copied().ok_or_else(|| "the stack is empty".to_owned())
    }

    /// All above the last mark.
    fn popped(&mut self) -> Result<Vec<usize>, String> {
        let mark = self.marks.pop().ok_or("a mark is missing")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn extend(&mut self, items: &[usize]) -> Result<(), String> {
        let top = self.top()?;
        match self.nodes.get_mut(top) {
            Some(Node::List(list)) => list.extend_from_slice(items),
            _ => return Err("only a list has items".to_owned()),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[usize]) -> Result<(), String> {
        let top = self.top()?;
        match self.nodes.get_mut(top) {
            Some(Node::Dict(dict)) => dict.append(&mut pairs(items)?),
            _ => return Err("only a dict has keys".to_owned()),
        }
        Ok(())
    }

    /// Puts the top of the stack into a slot of the memo, or gets it from there.
    fn remember(&mut self, put: bool, slot: usize) -> Result<(), String> {
        if put {
            if slot > self.bytes.len() {
                return Err(format!("memo slot {slot} in a pickle of {} bytes", self.bytes.len()));
            }
            let top = self.top()?;
            if slot >= self.memo.len() {
                self.memo.resize(slot + 1, None);
            }
            self.memo[slot] = Some(top);
        } else {
            let node = self.memo.get(slot).copied().flatten();
            self.stack.push(node.ok_or_else(|| format!("memo slot {slot} is empty"))?);
        }
        Ok(())
    }

    fn slice(&mut self, length: usize) -> Result<&[u8], String> {
        let start = self.next;
        let end = start.checked_add(length).filter(|&end| end <= self.bytes.len()).ok_or("the file ends early")?;
        self.next = end;
        Ok(&self.bytes[start..end])
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut taken = [0; N];
        taken.copy_from_slice(self.slice(N)?);
        Ok(taken)
    }

    /// An unsigned number of `N` bytes, the least first.
    fn length<const N: usize>(&mut self) -> Result<usize, String> {
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(self.slice(N)?);
        usize::try_from(u64::from_le_bytes(wide)).map_err(|_| "the file ends early".to_owned())
    }

    fn line(&mut self) -> Result<&str, String> {
        std::str::from_utf8(self.line_bytes()?).map(str::trim_end).map_err(|_| "a line is not UTF-8".to_owned())
    }

    fn line_bytes(&mut self) -> Result<&[u8], String> {
        let rest = self.bytes.get(self.next..).unwrap_or_default();
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or("the file ends early")?;
        let line = self.slice(length + 1)?;
        Ok(&line[..length])
    }

    /// A node as JSON. `left` bounds how often shared nodes are repeated.
    fn unfold(&self, node: usize, depth: usize, left: &mut usize) -> Result<Value, String> {
        if depth > DEEPEST {
            return Err(format!("nested more than {DEEPEST} deep"));
        }
        *left = left.checked_sub(1).ok_or("it repeats itself too often")?;
        Ok(match self.nodes.get(node) {
            None | Some(Node::None) => Value::Null,
            Some(Node::Bool(value)) => Value::Bool(*value),
            Some(Node::Int(number)) => Value::from(*number),
            Some(Node::Float(number)) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
            Some(Node::Text(text)) => Value::String(text.clone()),
            Some(Node::List(items)) => {
                items.iter().map(|&item| self.unfold(item, depth + 1, left)).collect::<Result<_, _>>()?
            }
            Some(Node::Dict(items)) => {
                let mut fields = Map::new();
                for &(key, value) in items {
                    let key = match self.nodes.get(key) {
                        Some(Node::Text(text)) => text.clone(),
                        Some(Node::Int(number)) => number.to_string(),
                        _ => return Err("a key is neither text nor number".to_owned()),
                    };
                    fields.insert(key, self.unfold(value, depth + 1, left)?);
                }
                Value::Object(fields)
            }
        })
    }
}

fn pairs(items: &[usize]) -> Result<Vec<(usize, usize)>, String> {
    let (pairs, rest) = items.as_chunks::<2>();
    match rest {
        [] => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err("a key without a value".to_owned()),
    }
}

/// Latin-1 with `\uXXXX` and `\UXXXXXXXX` for the rest, Python's raw-unicode-escape.
fn unescaped(line: &[u8]) -> Result<String, String> {
    let latin: String = line.iter().map(|&byte| char::from(byte)).collect();
    let mut parts = latin.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let n_digits = match part.as_bytes().first() {
            Some(b'u') => 4,
            Some(b'U') => 8,
            _ => {
                text.push('\\');
                text.push_str(part);
                continue;
            }
        };
        let code = part.get(1..=n_digits).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        text.push(code.and_then(char::from_u32).ok_or("an escape that is no character")?);
        text.push_str(&part[n_digits + 1..]);
    }
    Ok(text)
}

/// `12`, `12L`, or `01` and `00` for true and false.
fn integer(line: &str) -> Result<Node, String> {
    match line {
        "01" => Ok(Node::Bool(true)),
        "00" => Ok(Node::Bool(false)),
        _ => {
            let number = line.strip_suffix('L').unwrap_or(line).parse();
            number.map(Node::Int).map_err(|_| format!("`{line}` is no number of 64 bits"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{PickleError, value};
    use crate::eval::data::miniature::pickled;

    /// `pickle.dumps(data, protocol)` of Python 3.11, and of Python 2's text format with its `S` and `L`.
    #[test]
    fn pickles_of_python_are_read() {
        let data = json!([{"sent": "man in blue", "ids": [1, 300, -5], "box": [1.5, null], "yes": true}, "é\n"]);
        assert_eq!(value(PROTOCOL_0).as_ref(), Ok(&data));
        assert_eq!(value(PROTOCOL_2).as_ref(), Ok(&data));
        assert_eq!(value(PROTOCOL_4).as_ref(), Ok(&data));
        assert_eq!(value(&pickled(&data)).as_ref(), Ok(&data));
        let old = b"(lp0\n(dp1\nS'raw'\np2\nS'it\\'s'\np3\nsS'id'\np4\nI17\nsS'n'\nL9L\nsS'ok'\nI01\nsa.";
        assert_eq!(value(old), Ok(json!([{"raw": "it's", "id": 17, "n": 9, "ok": true}])));
    }

    #[test]
    fn hostile_pickles_are_refused() {
        let check = |bytes: &[u8], at: usize, problem: &str| {
            let error: PickleError = value(bytes).unwrap_err();
            assert!(error.at == at && error.problem.starts_with(problem), "{error:?}");
        };
        check(b"", 0, "the file ends early");
        check(b".", 0, "the stack is empty");
        check(b"(.", 1, "the stack is empty");
        check(b"](K\x01K\x02u.", 6, "only a dict has keys");
        check(b"}(K\x01u.", 4, "a key without a value");
        check(b"e.", 0, "a mark is missing");
        check(b"cos\nsystem\n.", 0, "it would run code");
        check(b"h\x05.", 0, "memo slot 5 is empty");
        check(b"Nr\xff\xff\xff\xff.", 1, "memo slot 4294967295 in a pickle of 7 bytes");
        check(b"X\xff\xff\xff\x7fabc", 0, "the file ends early");
        check(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc", 0, "the file ends early");
        check(b"\x8a\x09123456789.", 0, "a number of more than 64 bits");
        check(b"I99999999999999999999\n.", 0, "`99999999999999999999` is no number");
        check(b"S'open\n.", 0, "a text without its quotes");
        check(b"\xfe.", 0, "no pickle of plain data: unknown instruction 0xfe");
        check(b"}(]]u.", 5, "a key is neither text nor number");
        check(b"]q\x00h\x00a.", 6, "it repeats itself too often");
        let deep = [b"(".repeat(200_000), b"l".repeat(200_000), b".".to_vec()].concat();
        check(&deep, 400_000, "nested more than 32 deep");
        // Lists of eight times the list before, twenty times over.
        let bomb: Vec<u8> =
            (0..20).flat_map(|_| b"q\x00](h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00e".to_vec()).collect();
        let bomb = [b"]".to_vec(), bomb, b".".to_vec()].concat();
        check(&bomb, bomb.len() - 1, "it repeats itself too often");
    }

    const PROTOCOL_0: &[u8] = b"(lp0\n(dp1\nVsent\np2\nVman in blue\np3\nsVids\np4\n(lp5\nI1\naI300\naI-5\nasVbox\np6\n(F1.5\nNtp7\nsVyes\np8\nI01\nsaV\xe9\\u000a\np9\na.";
    const PROTOCOL_2: &[u8] = b"\x80\x02]q\x00(}q\x01(X\x04\x00\x00\x00sentq\x02X\x0b\x00\x00\x00man in blueq\x03X\x03\x00\x00\x00idsq\x04]q\x05(K\x01M,\x01J\xfb\xff\xff\xffeX\x03\x00\x00\x00boxq\x06G?\xf8\x00\x00\x00\x00\x00\x00N\x86q\x07X\x03\x00\x00\x00yesq\x08\x88uX\x03\x00\x00\x00\xc3\xa9\nq\x09e.";
    const PROTOCOL_4: &[u8] = b"\x80\x04\x95Q\x00\x00\x00\x00\x00\x00\x00]\x94(}\x94(\x8c\x04sent\x94\x8c\x0bman in blue\x94\x8c\x03ids\x94]\x94(K\x01M,\x01J\xfb\xff\xff\xffe\x8c\x03box\x94G?\xf8\x00\x00\x00\x00\x00\x00N\x86\x94\x8c\x03yes\x94\x88u\x8c\x03\xc3\xa9\n\x94e.";
}
