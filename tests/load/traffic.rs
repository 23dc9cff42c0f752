//! Many clients at once: right answers, nothing but 429s beside them, memory that does not grow, nobody left waiting.

use crate::Options;
use crate::memory::{peak, resident};
use crate::questions::{Case, UNDECIDED, Verdict, cases, judged, said};
use crate::server::Server;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// What a client got.
#[derive(Default)]
struct Got {
    /// Seconds of each answer.
    times: Vec<f64>,
    n_busy: usize,
    undecided: Vec<String>,
    problems: Vec<String>,
}

pub fn load(options: &Options) -> String {
    // Fewer places than clients, so that some are sent away.
    let max_queued = (options.n_clients / 2).max(1).to_string();
    let server = Server::start(&["-np", "4", "--max-queued", &max_queued]);
    let cases = cases(&server);
    let start = Instant::now();
    let memory = Mutex::new(Vec::new());
    let clients: Vec<Got> = thread::scope(|scope| {
        let clients: Vec<_> = (0..options.n_clients)
            .map(|seed| {
                let (server, cases) = (&server, &cases);
                scope.spawn(move || client(server, cases, seed as u64, start + options.duration))
            })
            .collect();
        while start.elapsed() < options.duration {
            memory.lock().unwrap().push(resident(&server));
            thread::sleep(Duration::from_millis(500));
        }
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    let peak = peak(&server);
    let restarts = server.metric("sgl_worker_restarts_total");
    assert_eq!(restarts, 0.0, "workers died: {}", server.log());
    report(&clients, &memory.into_inner().unwrap(), peak, seconds, cases.len())
}

/// Asks until it is time, and again where it is told to come back.
fn client(server: &Server, cases: &[Case], seed: u64, end: Instant) -> Got {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut got = Got::default();
    while Instant::now() < end {
        let case = &cases[random.usize(..cases.len())];
        let start = Instant::now();
        let reply = server.chat(&case.body);
        if reply.status == 429 {
            let wait = reply.headers.get("retry-after").and_then(|wait| wait.to_str().ok()?.parse().ok());
            match wait {
                Some(seconds) => thread::sleep(Duration::from_secs(seconds).min(end.saturating_duration_since(start))),
                None => got.problems.push("a 429 without Retry-After".to_owned()),
            }
            got.n_busy += 1;
            continue;
        }
        match said(&reply).map(|answer| judged(&answer, case, cases)) {
            Ok(Verdict::Right) => got.times.push(start.elapsed().as_secs_f64()),
            Ok(Verdict::Undecided(difference)) => got.undecided.push(difference),
            Ok(Verdict::Wrong(problem)) | Err(problem) => got.problems.push(problem),
        }
    }
    got
}

fn report(clients: &[Got], memory: &[f64], peak: f64, seconds: f64, n_cases: usize) -> String {
    let mut times: Vec<f64> = clients.iter().flat_map(|client| client.times.iter().copied()).collect();
    times.sort_by(f64::total_cmp);
    assert!(!times.is_empty(), "no answer came");
    let quantile = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let (median, longest) = (quantile(0.5), quantile(1.0));
    let mut counts: Vec<usize> = clients.iter().map(|client| client.times.len()).collect();
    counts.sort_unstable();
    let n_busy: usize = clients.iter().map(|client| client.n_busy).sum();
    let mut problems = BTreeMap::<&str, usize>::new();
    clients.iter().flat_map(|client| &client.problems).for_each(|problem| *problems.entry(problem).or_default() += 1);
    let n_problems: usize = problems.values().sum();
    let undecided: Vec<&String> = clients.iter().flat_map(|client| &client.undecided).collect();
    // Warm is what has run for a third of the time.
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let third = memory.len() / 3;
    let (warm, late) = (mean(&memory[third..2 * third]), mean(&memory[2 * third..]));
    let text = format!(
        "{} clients, {seconds:.0} s, {n_cases} questions: {} right answers ({:.1}/s), {n_busy} told to come back (429), {} \
         undecided, {n_problems} others; seconds to an answer: median {median:.2}, 95 % {:.2}, longest {longest:.2} ({:.1} medians); answers a client: {} to {}; \
         MiB resident, second third {warm:.0}, last third {late:.0}, the worker's peak {peak:.0}",
        clients.len(),
        times.len(),
        times.len() as f64 / seconds,
        undecided.len(),
        quantile(0.95),
        longest / median,
        counts[0],
        counts[counts.len() - 1],
    );
    assert!(n_problems == 0, "{:?}; {text}", problems.first_key_value());
    assert!(undecided.len() * UNDECIDED <= times.len(), "{:?}; {text}", undecided.first());
    assert!(late <= warm * 1.05 + 8.0, "memory grows: {text}");
    text
}
