//! `--config`: flags of `sgl serve` in a TOML file, one `name = value` a line, names as on the command line.
//!
//! The file becomes flags before those of the command line, so that there is one table of flags and one parser. A flag that is
//! on the command line or in the environment, or that contradicts one that is, is left out of it.

use crate::cli::args::command;
use crate::cli::error::{Exit, Failure};
use crate::cli::resolve::usage;
use crate::cli::spelling;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

const SUBCOMMAND: &str = "serve";
/// Flags that are about the file, or about nothing that lasts.
const APART: &[&str] = &["config", "print-config", "worker", "help", "version", "verbose", "quiet"];
/// Flags and others that mean the opposite.
const OPPOSITES: &[[&str; 2]] = &[
    ["no-prune", "retain"],
    ["no-exit", "exit-threshold"],
    ["no-supervise", "supervise"],
    ["unix", "host"],
    ["unix", "port"],
];

/// The command line with the flags of the file that it names, if it does.
///
/// # Errors
/// The file cannot be read, or holds what is no flag.
pub fn expanded(argv: impl IntoIterator<Item = OsString>) -> Result<Vec<OsString>, Failure> {
    let argv = spelling::translate(argv);
    // What is wrong with the command line is told when it is parsed for good.
    let Ok(matches) = command().try_get_matches_from(&argv) else { return Ok(argv) };
    let Some((SUBCOMMAND, told)) = matches.subcommand() else { return Ok(argv) };
    let Some(path) = told.get_one::<PathBuf>("config") else { return Ok(argv) };
    let flags = flags(path, told)?;
    let place = argv.iter().position(|argument| argument == SUBCOMMAND).map_or(argv.len(), |place| place + 1);
    let (before, after) = argv.split_at(place);
    Ok([before, &flags, after].concat())
}

/// All flags with their values, as such a file. Keys of clients are left out.
pub fn text(matches: &ArgMatches) -> String {
    let line = |argument: Arg| {
        let name = argument.get_long()?.to_owned();
        let id = argument.get_id().as_str();
        if name == "api-key" {
            let n = matches.get_many::<String>(id).map_or(0, Iterator::count);
            return Some(format!("# api-key = [] # {n} in use, not shown\n"));
        }
        if matches!(argument.get_action(), ArgAction::SetTrue) {
            return Some(format!("{name} = {}\n", matches.get_flag(id)));
        }
        let raw = matches.get_raw(id).into_iter().flatten().map(|value| value.to_string_lossy().into_owned());
        let raw: Vec<String> = raw.collect();
        Some(match (&raw[..], argument.get_action()) {
            ([], _) => format!("# {name} =\n"),
            (_, ArgAction::Append) => format!("{name} = {}\n", Value::from(raw)),
            ([value, ..], _) => format!("{name} = {}\n", value_of(value)),
        })
    };
    serve_flags().into_iter().filter_map(line).collect()
}

/// The table of flags that a file may hold.
pub fn serve_flags() -> Vec<Arg> {
    let command = command();
    let serve = command.find_subcommand(SUBCOMMAND).expect("it is a subcommand");
    let lasts = |argument: &&Arg| argument.get_long().is_some_and(|name| !APART.contains(&name));
    serve.get_arguments().filter(lasts).cloned().collect()
}

/// A number where it is one, or else text.
fn value_of(text: &str) -> Value {
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte));
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(number), _) if number.to_string() == text => Value::from(number),
        (_, Ok(number)) if plain(text) && number.is_finite() => Value::from(number),
        _ => Value::from(text),
    }
}

fn flags(path: &Path, told: &ArgMatches) -> Result<Vec<OsString>, Failure> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::new(Exit::Input, format!("cannot read the configuration {shown}: {error}")))?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let message = error.message();
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        Failure::new(Exit::Input, format!("{shown}, line {line}: {message}; write name = value"))
    })?;
    let known = serve_flags();
    let is_told = |name: &str| {
        let source = known.iter().find(|argument| argument.get_long() == Some(name));
        let source = source.and_then(|argument| told.value_source(argument.get_id().as_str()));
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    let mut flags = Vec::new();
    for (name, value) in &table {
        let argument = known
            .iter()
            .find(|argument| argument.get_long() == Some(name))
            .ok_or_else(|| usage(format!("{shown}: there is no flag {name}; `sgl serve --print-config` lists them")))?;
        let opposite = |pair: &&[&str; 2]| pair.contains(&name.as_str());
        let contradicts = OPPOSITES.iter().filter(opposite).flatten().any(|other| other != name && is_told(other));
        if is_told(name) || contradicts {
            continue;
        }
        let wrong = || usage(format!("{shown}: {name} = {value} is not what --{name} takes; see `sgl serve --help`"));
        flags.extend(flag(name, value, argument.get_action()).ok_or_else(wrong)?.map(OsString::from));
    }
    Ok(flags)
}

/// `--name=value`; nothing for a switch that is off.
fn flag(name: &str, value: &Value, action: &ArgAction) -> Option<std::vec::IntoIter<String>> {
    let is_switch = matches!(action, ArgAction::SetTrue);
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => None,
    };
    let flags = match value {
        Value::Boolean(true) if is_switch => vec![format!("--{name}")],
        Value::Boolean(false) if is_switch => Vec::new(),
        _ if is_switch => return None,
        Value::Array(list) if matches!(action, ArgAction::Append) => {
            list.iter().map(|value| Some(format!("--{name}={}", scalar(value)?))).collect::<Option<_>>()?
        }
        value => vec![format!("--{name}={}", scalar(value)?)],
    };
    Some(flags.into_iter())
}

#[cfg(test)]
mod tests;
