//! What processes hold in memory, from /proc; the machines that this runs on have it.

use crate::server::Server;
use std::fs;

/// The process that has the models: the one child of the one that listens.
pub fn worker(server: &Server) -> Option<u32> {
    let id = server.child.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
    let of_threads = || {
        let tasks = fs::read_dir(format!("/proc/{id}/task")).ok()?;
        let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        lists.collect::<Vec<_>>().join(" ").split_whitespace().next()?.parse().ok()
    };
    children.split_whitespace().next().and_then(|child| child.parse().ok()).or_else(of_threads)
}

/// Resident memory of the worker and of the process that listens, in MiB.
pub fn resident(server: &Server) -> f64 {
    let processes = [worker(server), Some(server.child.id())];
    processes.into_iter().flatten().map(|id| field(id, "VmRSS:")).sum()
}

/// The most that the worker has had.
pub fn peak(server: &Server) -> f64 {
    worker(server).map_or(0.0, |id| field(id, "VmHWM:"))
}

fn field(id: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
