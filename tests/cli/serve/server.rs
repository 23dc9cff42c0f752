//! A server of its own for a test, and what it answers.

use crate::harness::{FLAT, Folder};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use ureq::Agent;
use ureq::http::HeaderMap;

/// Longest wait for what must happen: far longer than it takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(120);
/// A question whose answer takes one token, about [`FLAT`].
pub const LABEL: &str = "Read the label of the white circle.";
pub const LIST: &str = "List every object.";

/// A running server, killed with this.
pub struct Server {
    pub child: Child,
    /// `127.0.0.1:PORT`
    pub address: String,
    agent: Agent,
    pub folder: Folder,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Server {
    /// The embedded pair, on one thread if the flags say nothing else, ready.
    pub fn start(flags: &[&str]) -> Self {
        let server = Self::begin(flags);
        server.wait_until_ready();
        server
    }

    /// As soon as it listens.
    pub fn begin(flags: &[&str]) -> Self {
        Self::begin_in(Folder::new(), flags, &[])
    }

    pub fn begin_in(folder: Folder, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = folder.command();
        let threads: &[&str] = if flags.contains(&"-t") { &[] } else { &["-t", "1"] };
        command.args(["serve", "--port", "0"]).args(threads).args(flags).envs(environment.iter().copied());
        let log = fs::File::create(folder.path().join("server.log")).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap_or_default().to_owned();
        Self::at(address, child, folder)
    }

    /// One that was started elsewhere.
    pub fn at(address: String, child: Child, folder: Folder) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(LONG));
        let agent = config.proxy(None).build().into();
        Self { child, address, agent, folder }
    }

    pub fn wait_until_ready(&self) {
        until("the server is ready", || self.get("/health").status == 200);
    }

    pub fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[])
    }

    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let request = self.agent.get(self.url(path));
        Reply::from(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).call())
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_bytes(path, "application/json", body.to_string().as_bytes(), &[])
    }

    pub fn post_bytes(&self, path: &str, kind: &str, body: &[u8], headers: &[(&str, &str)]) -> Reply {
        let request = self.agent.post(self.url(path)).header("content-type", kind);
        Reply::from(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send(body))
    }

    pub fn chat(&self, body: &Value) -> Reply {
        self.post("/v1/chat/completions", body)
    }

    /// The pieces of a streamed answer, which ends as it should.
    pub fn stream(&self, body: &Value) -> Vec<Value> {
        let mut body = body.clone();
        body["stream"] = json!(true);
        let reply = self.chat(&body);
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.headers["content-type"], "text/event-stream");
        let mut events = events(&reply.body);
        assert_eq!(events.pop().as_deref(), Some("[DONE]"), "{reply:?}");
        events.iter().map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// A connection that speaks for itself.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    /// A connection on which the head of a request and a part of its body were sent.
    pub fn half(&self, body: &str, length: usize) -> TcpStream {
        let mut stream = self.connect();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all((head + body).as_bytes()).unwrap();
        stream
    }

    /// The value of a metric; 0 where it has not been counted.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// What it wrote to standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("server.log")).unwrap()
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(pid(self.child.id()), signal).unwrap();
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < LONG, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

#[cfg(unix)]
pub fn pid(id: u32) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(id as i32).unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Reply {
    fn from(reply: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Self {
        let mut reply = reply.unwrap();
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        let body = reply.body_mut().with_config().limit(256 << 20).read_to_string().unwrap();
        Self { status, headers, body }
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The answer of a completion.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    /// A failure in OpenAI's form.
    #[track_caller]
    pub fn failed(&self, status: u16, kind: &str, message: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/json");
        let error = self.json()["error"].clone();
        assert_eq!((&error["code"], &error["type"]), (&json!(status), &json!(kind)), "{self:?}");
        assert!(error["message"].as_str().unwrap().contains(message), "no {message:?} in {self:?}");
        error
    }
}

/// The data of server-sent events; comments are passed over.
pub fn events(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix("data: ").map(str::to_owned)).collect()
}

/// Asks again and again, since nothing tells.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "it never happens that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn data_url(path: &str) -> String {
    format!("data:image/png;base64,{}", BASE64_STANDARD.encode(fs::read(path).unwrap()))
}

/// A question about pictures, named by their URLs.
pub fn ask(urls: &[&str], text: &str) -> Value {
    let picture = |url: &&str| json!({"type": "image_url", "image_url": {"url": url}});
    let mut content: Vec<Value> = urls.iter().map(picture).collect();
    content.push(json!({"type": "text", "text": text}));
    json!({"model": "any", "messages": [{"role": "user", "content": content}]})
}

/// A question about [`FLAT`] with more fields.
pub fn about_flat(text: &str, more: Value) -> Value {
    let mut body = ask(&[&data_url(FLAT)], text);
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// A question whose answer takes thousands of tokens, because its form says so.
pub fn endless(more: Value) -> Value {
    let items = json!({"type": "string", "minLength": 60, "maxLength": 60});
    let schema = json!({"type": "array", "items": items, "minItems": 60, "maxItems": 60});
    let mut body = about_flat(LIST, more);
    body["max_tokens"] = json!(4000);
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "long", "schema": schema}});
    body
}

/// What comes on a connection until its end.
pub fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset ends it too.
    stream.read_to_end(&mut bytes).ok();
    String::from_utf8_lossy(&bytes).into_owned()
}
