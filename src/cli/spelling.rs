//! llama.cpp's spellings of flags that clap cannot parse itself, rewritten before it sees them.

use std::ffi::OsString;

/// llama.cpp's spelling, and the flag here.
const LLAMA_CPP: &[(&str, &str)] = &[
    ("-mm", "--mmproj"),
    ("-ngl", "--gpu-layers"),
    ("--n-gpu-layers", "--gpu-layers"),
    ("--guide-ngl", "--guide-gpu-layers"),
    ("-dev", "--device"),
    ("--guide-dev", "--guide-device"),
    ("-ub", "--ubatch-size"),
    ("-fa", "--flash-attn"),
    ("-ctk", "--cache-type-k"),
    ("-ctv", "--cache-type-v"),
    ("-sys", "--system"),
    ("--system-prompt", "--system"),
    ("--n-predict", "--predict"),
    ("--temperature", "--temp"),
    ("-np", "--parallel"),
    ("-to", "--timeout"),
];

/// Flags whose value is free text, which may look like a flag.
const TEXT: &[&str] = &["-p", "--prompt", "--system"];

/// Rewrites `-ngl 99` and `-ngl=99` alike, up to `--`.
pub fn translate(argv: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut is_text = false;
    let mut is_flag = true;
    let translate = |argument: OsString| {
        is_flag &= argument != "--" || is_text;
        if std::mem::take(&mut is_text) || !is_flag {
            return argument;
        }
        let argument = argument.to_str().and_then(translated).map_or(argument, OsString::from);
        is_text = TEXT.iter().any(|flag| argument == *flag);
        argument
    };
    argv.into_iter().map(translate).collect()
}

fn translated(argument: &str) -> Option<String> {
    let (name, value) = argument.split_once('=').map_or((argument, None), |(name, value)| (name, Some(value)));
    let (_, flag) = LLAMA_CPP.iter().find(|(spelling, _)| *spelling == name)?;
    Some(value.map_or_else(|| (*flag).to_owned(), |value| format!("{flag}={value}")))
}

/// llama.cpp's spellings of a flag, given without its hyphens.
pub fn of(flag: &str) -> Vec<&'static str> {
    let is_of = |(_, name): &&(&str, &str)| name.trim_start_matches('-') == flag;
    LLAMA_CPP.iter().filter(is_of).map(|(spelling, _)| *spelling).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::command;

    fn check(argv: &str, expected: &str) {
        let argv = argv.split(' ').map(OsString::from);
        assert_eq!(translate(argv), expected.split(' ').map(OsString::from).collect::<Vec<_>>());
    }

    #[test]
    fn spellings_become_flags() {
        check("sgl run -m a -mm b -ngl 99 -fa=on", "sgl run -m a --mmproj b --gpu-layers 99 --flash-attn=on");
        check("sgl run -ngl=-1 --guide-dev=a,b", "sgl run --gpu-layers=-1 --guide-device=a,b");
        check("sgl run -vv -ng 1 -m -nglx", "sgl run -vv -ng 1 -m -nglx");
    }

    #[test]
    fn text_stays_as_it_is() {
        check("sgl run -p -mm -mm b", "sgl run -p -mm --mmproj b");
        check("sgl run --prompt=-mm -sys -fa -fa on", "sgl run --prompt=-mm --system -fa --flash-attn on");
        check("sgl inspect -- -mm -fa", "sgl inspect -- -mm -fa");
        check("sgl run -p -- -mm b", "sgl run -p -- --mmproj b");
    }

    #[test]
    fn every_spelling_stands_for_a_flag() {
        let mut cli = command();
        cli.build();
        let flags_of = |name| cli.find_subcommand(name).unwrap().get_arguments().filter_map(clap::Arg::get_long);
        let flags: Vec<_> = flags_of("run").chain(flags_of("serve")).collect();
        for (spelling, flag) in LLAMA_CPP {
            assert!(flags.contains(&flag.trim_start_matches('-')), "{spelling} stands for {flag}");
            assert!(!flags.contains(&spelling.trim_start_matches('-')), "{spelling} is a flag already");
        }
        let is_text = |argument: &&clap::Arg| argument.is_allow_hyphen_values_set();
        let run = cli.find_subcommand("run").unwrap();
        let texts: Vec<_> = run.get_arguments().filter(is_text).filter_map(clap::Arg::get_long).collect();
        assert_eq!(texts, ["prompt", "system"], "TEXT lists all of them");
    }
}
