//! Readers that leave, disks that are full, and Ctrl-C.
#![cfg(unix)]

use crate::harness::{FLAT, Folder, LABEL, LIST, NOISE, Ran, sgl};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

/// Runs with a standard output whose reader has left before the first byte.
fn into_closed_pipe(arguments: &[&str]) -> (Ran, Folder) {
    let folder = Folder::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = folder.command();
    command.args(arguments).env("LLAMA_ARG_THREADS", "1").stdout(writer).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    drop(command);
    (Ran::from(child.wait_with_output().unwrap()), folder)
}

#[test]
fn a_reader_that_leaves_ends_a_run_quietly() {
    for flags in [&[][..], &["--json"], &["--no-exit", "--no-prune"], &["--exit-threshold", "0"]] {
        let (ran, _) = into_closed_pipe(&[&["run"], flags, &LIST].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{flags:?}");
    }
    for arguments in [&["--help"][..], &["--version"], &["run", "--help"], &["demo"], &["devices"], &["inspect", FLAT]]
    {
        let (ran, _) = into_closed_pipe(arguments);
        assert_eq!(ran.code, Some(if arguments[0] == "inspect" { 3 } else { 0 }), "{ran:?}");
    }
}

#[test]
fn a_heat_map_is_written_without_a_reader() {
    let (ran, folder) = into_closed_pipe(&[&["explain", "-q"], &LABEL[..]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(folder.files(), ["heat.png"]);
}

#[test]
fn a_closed_standard_error_is_no_error() {
    let folder = Folder::new();
    for flags in [&["-v"][..], &[], &["-c", "64"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = folder.command();
        command.arg("run").args(["-t", "1"]).args(flags).args(LABEL).stderr(writer).stdout(Stdio::piped());
        let ran = Ran::from(command.spawn().unwrap().wait_with_output().unwrap());
        let expected = if flags.contains(&"-c") { (Some(5), "") } else { (Some(0), "8\n") };
        assert_eq!((ran.code, ran.stdout.as_str()), expected, "{flags:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let folder = Folder::new();
    for arguments in [&["run", "-t", "1", "--json"][..], &["run", "-t", "1"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = folder.command();
        command.args(arguments).args(LABEL).stdout(full).stderr(Stdio::piped());
        let ran = Ran::from(command.spawn().unwrap().wait_with_output().unwrap());
        ran.failed(7, "cannot write to standard output");
    }
}

/// Starts a command that computes for many seconds, and waits until it does.
fn busy(folder: &Folder, subcommand: &str) -> Child {
    let long = "List every object. ".repeat(300);
    let mut command = folder.command();
    command.args([subcommand, "-t", "1", "-v", "--image", FLAT, "--image", NOISE, "-p", &long]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let logs = BufReader::new(child.stderr.as_mut().unwrap());
    // The context is made right before the guide reads the prompt.
    logs.lines()
        .map_while(Result::ok)
        .find(|line| line.contains("llama_context: n_ctx "))
        .expect("no context was made");
    child
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn an_interrupted_run_says_so() {
    let folder = Folder::new();
    let mut child = busy(&folder, "run");
    interrupt(&child);
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(stderr.ends_with("error: interrupted\n"), "{stderr}");
    assert!(!stderr.contains("target answered"), "{stderr}");
}

#[test]
fn an_interrupted_explanation_leaves_nothing() {
    let folder = Folder::new();
    let mut child = busy(&folder, "explain");
    interrupt(&child);
    let mut rest = Vec::new();
    child.stderr.take().unwrap().read_to_end(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(folder.files(), [""; 0]);
}

#[test]
fn the_program_works_after_an_interrupted_one() {
    let folder = Folder::new();
    let mut child = busy(&folder, "run");
    interrupt(&child);
    interrupt(&child);
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(sgl(&[&["run"], &LABEL[..]].concat()).ok().stdout, "8\n");
}
