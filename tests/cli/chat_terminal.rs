//! `sgl chat` at a terminal, and what Ctrl-C and a reader that leaves do to it.

use crate::harness::{FLAT, Folder, LABEL, NOISE, Ran};
use rexpect::process::WaitStatus;
use rexpect::session::{PtySession, spawn_command};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

const UP: &str = "\x1b[A";
const TIMEOUT_MS: u64 = 120_000;

/// The program at its first prompt; what it remembers stays in the folder.
fn terminal(folder: &Folder, flags: &[&str]) -> PtySession {
    let mut command = folder.command();
    command.args(["chat", "-t", "1", "--no-exit", "--image", FLAT]).args(flags);
    command.env("XDG_STATE_HOME", folder.path()).env("HOME", folder.path()).env("TERM", "xterm");
    let mut session = spawn_command(command, Some(TIMEOUT_MS)).unwrap();
    session.exp_string("/help lists the commands, Ctrl-D leaves").unwrap();
    prompt(&mut session);
    session
}

fn prompt(session: &mut PtySession) {
    session.exp_string("> ").unwrap();
}

fn send(session: &mut PtySession, keys: &str) {
    session.send(keys).unwrap();
    session.flush().unwrap();
}

/// Ctrl-D on an empty line.
fn leave(mut session: PtySession) {
    send(&mut session, "\x04");
    session.exp_eof().unwrap();
    assert!(matches!(session.process().wait().unwrap(), WaitStatus::Exited(_, 0)));
}

fn history(folder: &Folder) -> Option<String> {
    let below_home = if cfg!(target_os = "macos") { "Library/Application Support" } else { "" };
    fs::read_to_string(folder.path().join(below_home).join("sgl/chat-history")).ok()
}

#[test]
fn lines_are_edited_and_remembered() {
    let folder = Folder::new();
    let mut session = terminal(&folder, &[]);
    send(&mut session, "Xhelp\x01\x04/\r"); // to the start, delete one character, insert another
    session.exp_string("Commands:").unwrap();
    prompt(&mut session);
    send(&mut session, "nonsense\x03"); // takes the line back
    prompt(&mut session);
    send(&mut session, &format!("{}\r", LABEL[3]));
    session.exp_string("target answered").unwrap();
    prompt(&mut session);
    send(&mut session, &format!("{UP}{UP}\r"));
    session.exp_string("Commands:").unwrap();
    prompt(&mut session);
    send(&mut session, "/sta\t\r");
    session.exp_string("all: 1 answers").unwrap();
    prompt(&mut session);
    leave(session);
    let remembered = history(&folder).unwrap();
    assert!(remembered.contains("/help\n") && remembered.contains(LABEL[3]), "{remembered}");
    assert!(!remembered.contains("nonsense"), "{remembered}");

    let mut session = terminal(&folder, &[]);
    send(&mut session, &format!("{UP}{UP}{UP}\r"));
    session.exp_string("8\r\n").unwrap();
    session.exp_string("target answered").unwrap();
    prompt(&mut session);
    leave(session);
}

#[test]
fn a_history_is_kept_only_if_wanted() {
    let folder = Folder::new();
    let mut session = terminal(&folder, &["--no-history"]);
    send(&mut session, "/help\r");
    session.exp_string("Commands:").unwrap();
    prompt(&mut session);
    leave(session);
    assert_eq!(history(&folder), None);
}

#[test]
fn lines_go_on_after_a_backslash() {
    let folder = Folder::new();
    let mut session = terminal(&folder, &["--no-history"]);
    send(&mut session, "/image \\\r");
    session.exp_string(". ").unwrap();
    send(&mut session, "missing\r");
    session.exp_string("cannot open picture missing").unwrap();
    prompt(&mut session);
    leave(session); // what failed at a terminal was seen there
}

#[test]
fn ctrl_c_stops_the_answer_and_not_the_conversation() {
    let folder = Folder::new();
    let mut session = terminal(&folder, &["--no-history", "--no-warmup", "--image", NOISE, "-v"]);
    let long = "List every object. ".repeat(300);
    send(&mut session, &format!("\x1b[200~{long}\x1b[201~\r"));
    session.exp_string("llama_context: n_ctx ").unwrap();
    send(&mut session, "\x03");
    session.exp_string("error: interrupted").unwrap();
    session.exp_string("note: the conversation is as it was before this message").unwrap();
    prompt(&mut session);
    send(&mut session, &format!("{}\r", LABEL[3]));
    session.exp_string("target answered; read 128/512 visual tokens").unwrap();
    prompt(&mut session);
    leave(session);
}

#[test]
fn ctrl_c_ends_a_conversation_from_a_pipe() {
    let folder = Folder::new();
    let mut command = folder.command();
    command.args(["chat", "-t", "1", "-v", "--no-warmup", "--image", FLAT, "--image", NOISE]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{}\n{}", "List every object. ".repeat(300), LABEL[3]).unwrap();
    let mut logs = BufReader::new(child.stderr.take().unwrap());
    let is_busy = |line: std::io::Result<String>| line.unwrap().contains("llama_context: n_ctx ");
    assert!(logs.by_ref().lines().any(is_busy), "no context was made");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    logs.read_to_string(&mut rest).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(130), ""), "{rest}");
    assert!(rest.ends_with("error: interrupted\n"), "{rest}");
}

#[test]
fn a_reader_that_leaves_ends_the_conversation() {
    let folder = Folder::new();
    for flags in [&[][..], &["--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = folder.command();
        command.args(["chat", "-t", "1", "--image", FLAT]).args(flags);
        let mut child = command.stdin(Stdio::piped()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        drop(command);
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{}", LABEL[3]).unwrap();
        // The input stays open: the program leaves because nobody listens.
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.stderr.contains("error")), (Some(0), false), "{ran:?}");
        drop(stdin);
    }
}
