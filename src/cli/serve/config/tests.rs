use super::*;
use crate::cli::args::{Cli, Command, ServeArgs, parse};

fn with(file: &str, arguments: &str) -> Result<Vec<String>, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("serve.toml");
    fs::write(&path, file).unwrap();
    let argv = format!("sgl serve --config {} {arguments}", path.display());
    let argv = expanded(argv.split_whitespace().map(OsString::from)).map_err(|failure| failure.message)?;
    Ok(argv.into_iter().map(|argument| argument.into_string().unwrap()).collect())
}

fn serve(argv: &[String]) -> Box<ServeArgs> {
    let Ok(Cli { command: Command::Serve(args), .. }) = parse(argv.iter().map(OsString::from)) else {
        panic!("does not parse: {argv:?}");
    };
    args
}

#[test]
fn a_file_gives_flags() {
    let argv = with(
        "port = 0\nhost = \"::1\"\nno-prune = true\nfit = false\napi-key = [\"a\", \"b\"]\ntemp = 0.5\nalias = \"x y\"",
        "",
    );
    let args = serve(&argv.unwrap());
    assert_eq!((args.server.port, args.server.host.as_str()), (0, "::1"));
    assert_eq!((args.server.api_key.len(), args.common.answer.temp), (2, 0.5));
    assert_eq!(args.server.alias.as_deref(), Some("x y"));
    assert!(args.common.guidance.no_prune && !args.common.llama.fit);
}

#[test]
fn the_command_line_comes_first() {
    let file = "port = 1\nno-prune = true\nunix = \"/s\"\ncors-origin = [\"a\"]";
    let args = serve(&with(file, "--port 2 --retain 10% --cors-origin b").unwrap());
    assert_eq!((args.server.port, args.server.unix.is_some()), (2, false));
    assert!(!args.common.guidance.no_prune && args.common.guidance.retain.is_some());
    assert_eq!(args.server.cors_origin, ["b"]);
}

#[test]
fn what_is_no_flag_is_told() {
    for (file, message) in [
        ("ports = 1", "there is no flag ports"),
        ("config = \"x\"", "there is no flag config"),
        ("no-prune = 1", "no-prune = 1 is not what"),
        ("port = true", "port = true is not what"),
        ("port = [1]", "is not what"),
        ("[server]\nport = 1", "there is no flag server"),
        ("port = 1\nport", "line 2"),
    ] {
        let told = with(file, "").unwrap_err();
        assert!(told.contains(message), "{file}: {told}");
    }
    assert!(expanded("sgl serve --config /no/such".split(' ').map(OsString::from)).is_err());
}

#[test]
fn other_commands_are_left_alone() {
    for argv in ["sgl", "sgl run -p serve", "sgl serve --port x", "sgl serve --port 1", "sgl run --config x"] {
        let argv: Vec<OsString> = argv.split(' ').map(OsString::from).collect();
        assert_eq!(expanded(argv.clone()).unwrap(), argv);
    }
}

#[test]
fn what_is_printed_can_be_read() {
    let printed = |argv: &[String]| serve(argv).printed.clone();
    let flags =
        "--print-config --port 9 --cors-origin a,b --no-exit --temp 0.25 --retain 25% --timeout 1.5 --api-key secret";
    let argv: Vec<String> = format!("sgl serve {flags}").split(' ').map(str::to_owned).collect();
    let first = printed(&argv);
    assert!(!first.contains("secret") && first.contains("# api-key = [] # 1 in use"), "{first}");
    for line in [
        "port = 9",
        "cors-origin = [\"a\", \"b\"]",
        "no-exit = true",
        "temp = 0.25",
        "retain = \"25%\"",
        "# media-path =",
    ] {
        assert!(first.lines().any(|told| told == line), "no {line} in\n{first}");
    }
    let again = with(&first, "--print-config --api-key secret").unwrap();
    assert_eq!(printed(&again), first);
}

/// The table in docs/server.md. `SGL_BLESS=1` writes it anew.
#[test]
fn the_documented_table_is_current() {
    let row = |argument: &Arg| {
        let long = argument.get_long().unwrap();
        let short = argument.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
        let also: String = spelling::of(long).iter().map(|also| format!(", `{also}`")).collect();
        let environment = argument.get_env().map(|name| format!("`{}`", name.to_str().unwrap())).unwrap_or_default();
        let default: Vec<_> = argument.get_default_values().iter().map(|value| value.to_str().unwrap()).collect();
        let default =
            if matches!(argument.get_action(), ArgAction::SetTrue) { String::new() } else { default.join(",") };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.split(" [also: ").next().unwrap_or_default().replace('|', "\\|");
        format!("| `{short}--{long}`{also} | {environment} | {default} | {help} |\n")
    };
    let rows: String = serve_flags().iter().map(row).collect();
    let table = format!("| Flag, `name` in the file | Environment | Default | Meaning |\n|---|---|---|---|\n{rows}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/server.md");
    let text = fs::read_to_string(&path).unwrap();
    let (start, end) = ("<!-- flags: written by a test -->\n", "<!-- end of flags -->");
    let (before, rest) = text.split_once(start).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let current = format!("{before}{start}{table}{end}{after}");
    if std::env::var_os("SGL_BLESS").is_some() {
        fs::write(&path, &current).unwrap();
    }
    assert!(
        text == current || std::env::var_os("SGL_BLESS").is_some(),
        "docs/server.md is old; SGL_BLESS=1 cargo test writes it"
    );
}
