//! Files of models that vanish or shrink under a running server, and caches that cannot be written.

use crate::Options;
use crate::harness::{Folder, GUIDE, TARGET};
use crate::memory::worker;
use crate::questions::try_chat;
use crate::server::{LABEL, LIST, Server, about_flat, until};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::process::{Command, Stdio};

/// A file system of a few pages; unmounted with this.
struct Tiny(String);

impl Tiny {
    fn mount(folder: &Folder) -> Option<Self> {
        let path = folder.at("tiny");
        fs::create_dir(&path).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs", &path])
            .stderr(Stdio::null())
            .status();
        mount.is_ok_and(|status| status.success()).then_some(Self(path))
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).status().ok();
    }
}

pub fn disk_full(_: &Options) -> String {
    let folder = Folder::new();
    let Some(tiny) = Tiny::mount(&folder) else {
        return "left out: only root can mount a file system that is full".to_owned();
    };
    let output = folder.command().args(["serve", "--port", "0"]).env("SGL_CACHE", &tiny.0).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(7), "{text}");
    assert!(text.contains("SGL_CACHE"), "{text}");
    let left = fs::read_dir(&tiny.0).unwrap().count();
    let n_bytes: u64 = files(&tiny.0);
    assert_eq!(n_bytes, 0, "half a file is left of {left}");
    "exit code 7 that names SGL_CACHE, nothing half-written left".to_owned()
}

/// Bytes of all files under a folder.
fn files(path: &str) -> u64 {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.metadata().unwrap() {
            facts if facts.is_dir() => files(entry.path().to_str().unwrap()),
            facts => facts.len(),
        })
        .sum()
}

/// A server on copies of the models.
fn on_copies() -> Server {
    let folder = Folder::new();
    let copy = |path: &str, name: &str| {
        fs::copy(path, folder.path().join(name)).unwrap();
        folder.at(name)
    };
    let [guide, guide_mmproj] = GUIDE;
    let [target, mmproj] = TARGET;
    let flags = [
        ("-m", copy(target, "target.gguf")),
        ("--mmproj", copy(mmproj, "mmproj-target.gguf")),
        ("--guide", copy(guide, "guide.gguf")),
        ("--guide-mmproj", copy(guide_mmproj, "mmproj-guide.gguf")),
    ];
    let flags: Vec<&str> = flags.iter().flat_map(|(flag, path)| [*flag, path]).collect();
    let server = Server::begin_in(folder, &flags, &[]);
    server.wait_until_ready();
    server
}

pub fn deleted(_: &Options) -> String {
    let mut server = on_copies();
    let before = server.chat(&about_flat(LIST, json!({}))).ok()["choices"].clone();
    for name in ["target.gguf", "mmproj-target.gguf", "guide.gguf", "mmproj-guide.gguf"] {
        fs::remove_file(server.folder.path().join(name)).unwrap();
    }
    assert_eq!(server.chat(&about_flat(LIST, json!({}))).ok()["choices"], before);
    // Nothing to start from.
    let worker = worker(&server).unwrap();
    rustix::process::kill_process(crate::server::pid(worker), rustix::process::Signal::KILL).unwrap();
    assert_eq!(server.ended().code(), Some(3), "{}", server.log());
    "answers go on; once the worker dies there is nothing to load, and the server ends with exit code 3".to_owned()
}

pub fn truncated(_: &Options) -> String {
    let mut server = on_copies();
    server.chat(&about_flat(LABEL, json!({}))).ok();
    let path = server.folder.path().join("target.gguf");
    OpenOptions::new().write(true).open(path).unwrap().set_len(8192).unwrap();
    // Whatever was not read yet is gone, and to touch it is the end of the worker.
    let body = about_flat(LIST, json!({"sgl": {"exit_threshold": null, "retain": null}}));
    let mut statuses = Vec::new();
    until("it ends or answers", || match try_chat(&server, &body) {
        Some(reply) => {
            statuses.push(reply.status);
            reply.status == 200
        }
        None => true,
    });
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    if statuses.last() == Some(&200) {
        return "answers go on: all of it was in memory".to_owned();
    }
    assert_eq!(server.ended().code(), Some(3), "{}", server.log());
    let n_lost = statuses.len();
    format!(
        "{n_lost} times 503 as the worker dies (SIGBUS); the file is found to be damaged, and the server ends with exit code 3"
    )
}
