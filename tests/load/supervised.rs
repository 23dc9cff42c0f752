//! The process that has the models dies, and the server is told to end, while clients ask.

use crate::Options;
use crate::memory::worker;
use crate::questions::{Case, cases, said, try_chat};
use crate::server::{Server, pid, until};
use rustix::process::{Signal, kill_process};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Default)]
struct Counts {
    right: AtomicUsize,
    lost: AtomicUsize,
    loading: AtomicUsize,
    unreached: AtomicUsize,
}

pub fn killed(options: &Options) -> String {
    let server = Server::start(&["-np", "4", "--max-queued", &options.n_clients.to_string()]);
    let cases = cases(&server);
    let (counts, is_over) = (Counts::default(), AtomicBool::new(false));
    let seconds = thread::scope(|scope| {
        for seed in 0..options.n_clients {
            let (server, cases, counts, is_over) = (&server, &cases, &counts, &is_over);
            scope.spawn(move || ask(server, cases, seed, counts, is_over));
        }
        until("answers come", || counts.right.load(Relaxed) >= options.n_clients);
        kill_process(pid(worker(&server).unwrap()), Signal::KILL).unwrap();
        let start = Instant::now();
        until("it is noticed", || counts.lost.load(Relaxed) + counts.loading.load(Relaxed) > 0);
        let before = counts.right.load(Relaxed);
        until("answers come again", || counts.right.load(Relaxed) > before);
        let seconds = start.elapsed().as_secs_f64();
        until("many come", || counts.right.load(Relaxed) > before + options.n_clients);
        is_over.store(true, Relaxed);
        seconds
    });
    let Counts { right, lost, loading, unreached } = counts;
    let [right, lost, loading, unreached] = [right, lost, loading, unreached].map(AtomicUsize::into_inner);
    // A client that is quick asks a dead worker once more before its death is noticed.
    assert!(lost <= 2 * options.n_clients && unreached == 0, "{lost} lost, {unreached} without a response");
    assert_eq!(server.metric("sgl_worker_restarts_total"), 1.0);
    assert_eq!(server.metric("sgl_lost_requests_total"), lost as f64);
    format!(
        "{right} right answers, {lost} requests of {} clients lost (503 or an event), {loading} times 503 while loading, answers again \
         after {seconds:.1} s",
        options.n_clients
    )
}

pub fn terminated(options: &Options) -> String {
    let mut server =
        Server::start(&["-np", "4", "--max-queued", &options.n_clients.to_string(), "--shutdown-timeout", "20"]);
    let cases = cases(&server);
    let (counts, is_over) = (Counts::default(), AtomicBool::new(false));
    let seconds = thread::scope(|scope| {
        for seed in 0..options.n_clients {
            let (server, cases, counts, is_over) = (&server, &cases, &counts, &is_over);
            scope.spawn(move || ask(server, cases, seed, counts, is_over));
        }
        until("answers come", || counts.right.load(Relaxed) >= options.n_clients);
        server.signal(Signal::TERM);
        let start = Instant::now();
        until("nobody reaches it", || counts.unreached.load(Relaxed) > 0);
        is_over.store(true, Relaxed);
        start.elapsed().as_secs_f64()
    });
    assert!(server.ended().success(), "{}", server.log());
    let (right, told) = (counts.right.into_inner(), counts.lost.into_inner());
    format!(
        "{right} right answers, {told} told that the server ends (503), then no connection after {seconds:.1} s; exit code 0"
    )
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
            (200, Ok(answer)) => {
                assert_eq!(answer, case.answer, "a wrong answer");
                counts.right.fetch_add(1, Relaxed);
            }
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
