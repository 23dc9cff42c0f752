//! One request, repeated while the server is busy.

use std::io;
use std::thread;
use std::time::Duration;

use ureq::http::Uri;
use ureq::{Agent, Body, Error, Proxy, http::Response};

use super::{Judge, JudgeError, excerpt};

const N_ATTEMPTS: u32 = 5;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Of an answer that is a grade, and room for what servers send with it.
const LONGEST_BODY: u64 = 4 << 20;

/// The body of a successful answer.
pub(super) fn post(judge: &Judge, body: &str) -> Result<String, JudgeError> {
    let agent = agent(judge);
    let mut pause = judge.pause;
    let mut n_left = N_ATTEMPTS;
    loop {
        n_left -= 1;
        let is_last = n_left == 0;
        match once(&agent, judge, body) {
            Ok(Answer::Done(body)) => return Ok(body),
            Ok(Answer::Busy { wait, .. }) if !is_last => pause_for(wait.unwrap_or(pause)),
            Ok(Answer::Busy { status, body, .. } | Answer::Refused { status, body }) => {
                return Err(JudgeError::Refused { url: judge.url.clone(), status, body: excerpt(&body) });
            }
            Err(error) if is_timeout(&error) && !is_last => pause_for(pause),
            Err(error) => {
                let problem = error.to_string();
                return Err(JudgeError::Unreachable { url: judge.url.clone(), problem });
            }
        }
        pause *= 2;
    }
}

enum Answer {
    Done(String),
    /// Worth another attempt, after the time that the server asks for if it asks.
    Busy {
        status: u16,
        body: String,
        wait: Option<Duration>,
    },
    Refused {
        status: u16,
        body: String,
    },
}

fn once(agent: &Agent, judge: &Judge, body: &str) -> Result<Answer, Error> {
    let mut request = agent.post(&judge.url).header("content-type", "application/json");
    if let Some(key) = &judge.api_key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let mut response: Response<Body> = request.send(body)?;
    let status = response.status().as_u16();
    let wait = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let bytes = response.body_mut().with_config().limit(LONGEST_BODY).read_to_vec()?;
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match status {
        200..=299 => Answer::Done(body),
        429 | 500..=599 => Answer::Busy { status, body, wait: wait.map(Duration::from_secs) },
        _ => Answer::Refused { status, body },
    })
}

/// Redirects are not followed: the key is for the server that was named. Proxies are not for this machine.
fn agent(judge: &Judge) -> Agent {
    let host = judge.url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let is_local = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    let proxy = if is_local { None } else { Proxy::try_from_env() };
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(proxy)
        .timeout_global(Some(judge.timeout));
    config.build().into()
}

fn pause_for(time: Duration) {
    thread::sleep(time.min(LONGEST_PAUSE));
}

fn is_timeout(error: &Error) -> bool {
    match error {
        Error::Timeout(_) => true,
        Error::Io(error) => matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock),
        _ => false,
    }
}
