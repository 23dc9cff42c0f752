//! The process that has the models dies, and the server is told to end, while clients ask.

use crate::Options;
use crate::memory::worker;
use crate::questions::{Case, UNDECIDED, Verdict, cases, judged, said, try_chat};
use crate::server::{Server, pid, until};
use rustix::process::{Signal, kill_process};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Default)]
struct Counts {
    right: AtomicUsize,
    undecided: AtomicUsize,
    lost: AtomicUsize,
    loading: AtomicUsize,
    unreached: AtomicUsize,
}

pub fn killed(options: &Options) -> String {
    let server = start(options);
    let (counts, seconds) = while_asked(options, &server, |counts| {
        kill_process(pid(worker(&server).unwrap()), Signal::KILL).unwrap();
        let start = Instant::now();
        until("it is noticed", || counts.lost.load(Relaxed) + counts.loading.load(Relaxed) > 0);
        let before = counts.right.load(Relaxed);
        until("answers come again", || counts.right.load(Relaxed) > before);
        let seconds = start.elapsed().as_secs_f64();
        until("many come", || counts.right.load(Relaxed) > before + options.n_clients);
        seconds
    });
    let Counts { right, undecided, lost, loading, unreached } = counts;
    let [right, undecided, lost, loading, unreached] =
        [right, undecided, lost, loading, unreached].map(AtomicUsize::into_inner);
    // A client that is quick asks a dead worker once more before its death is noticed.
    assert!(lost <= 2 * options.n_clients && unreached == 0, "{lost} lost, {unreached} without a response");
    assert_eq!(server.metric("sgl_worker_restarts_total"), 1.0);
    assert_eq!(server.metric("sgl_lost_requests_total"), lost as f64);
    format!(
        "{right} right answers, {undecided} undecided, {lost} requests of {} clients lost (503 or an event), {loading} times 503 \
         while loading, answers again after {seconds:.1} s",
        options.n_clients
    )
}

pub fn terminated(options: &Options) -> String {
    let mut server = start(options);
    let (counts, seconds) = while_asked(options, &server, |counts| {
        server.signal(Signal::TERM);
        let start = Instant::now();
        until("nobody reaches it", || counts.unreached.load(Relaxed) > 0);
        start.elapsed().as_secs_f64()
    });
    assert!(server.ended().success(), "{}", server.log());
    let [right, undecided, told] = [counts.right, counts.undecided, counts.lost].map(AtomicUsize::into_inner);
    format!(
        "{right} right answers, {undecided} undecided, {told} told that the server ends (503), then no connection after \
         {seconds:.1} s; exit code 0"
    )
}

fn start(options: &Options) -> Server {
    Server::start(&["-np", "4", "--max-queued", &options.n_clients.to_string(), "--shutdown-timeout", "20"])
}

/// Does something while clients ask, each of whom got an answer before.
fn while_asked<T>(options: &Options, server: &Server, work: impl FnOnce(&Counts) -> T) -> (Counts, T) {
    let cases = cases(server);
    let (counts, is_over) = (Counts::default(), AtomicBool::new(false));
    let done = thread::scope(|scope| {
        for seed in 0..options.n_clients {
            let (cases, counts, is_over) = (&cases, &counts, &is_over);
            scope.spawn(move || ask(server, cases, seed, counts, is_over));
        }
        until("answers come", || counts.right.load(Relaxed) >= options.n_clients);
        let done = work(&counts);
        is_over.store(true, Relaxed);
        done
    });
    let (right, undecided) = (counts.right.load(Relaxed), counts.undecided.load(Relaxed));
    assert!(undecided <= right / UNDECIDED + 1, "{undecided} answers of {right} differ from those given alone");
    (counts, done)
}

/// Asks until told otherwise or nobody listens. A wrong answer ends it all.
fn ask(server: &Server, cases: &[Case], seed: usize, counts: &Counts, is_over: &AtomicBool) {
    let mut random = fastrand::Rng::with_seed(seed as u64);
    while !is_over.load(Relaxed) {
        let case = &cases[random.usize(..cases.len())];
        let Some(reply) = try_chat(server, &case.body) else {
            counts.unreached.fetch_add(1, Relaxed);
            return;
        };
        match (reply.status, said(&reply)) {
            (200, Ok(answer)) => match judged(&answer, case, cases) {
                Verdict::Right => _ = counts.right.fetch_add(1, Relaxed),
                Verdict::Undecided(_) => _ = counts.undecided.fetch_add(1, Relaxed),
                Verdict::Wrong(problem) => panic!("{problem}"),
            },
            (503, Err(problem)) if problem.contains("Loading model") => {
                counts.loading.fetch_add(1, Relaxed);
                thread::sleep(Duration::from_millis(50));
            }
            (503, _) => _ = counts.lost.fetch_add(1, Relaxed),
            (200, Err(problem)) if problem.contains("\"code\":503") => _ = counts.lost.fetch_add(1, Relaxed),
            (status, said) => panic!("{status}: {said:?}"),
        }
    }
}
