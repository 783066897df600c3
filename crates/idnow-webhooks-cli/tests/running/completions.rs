use std::io::Write as _;
use std::process::{Command, Stdio};

use super::process::{command, run};

#[test]
fn each_shell_gets_a_script_that_knows_the_commands() {
    for (shell, begins) in [
        ("bash", "_idnow__webhooks() {"),
        ("zsh", "#compdef idnow-webhooks"),
        ("fish", "# Print an optspec"),
        ("elvish", "\nuse builtin;"),
        ("powershell", "\nusing namespace System.Management.Automation"),
    ] {
        let ended = run(&["completions", shell]);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{shell}");
        assert!(ended.out.starts_with(begins), "{shell}: {}", &ended.out[..200]);
        for word in ["retry-dead", "forward-to", "time-scale", "session.completed", "completions"] {
            assert!(ended.out.contains(word), "{shell}: {word}");
        }
    }
    assert!(
        run(&["completions", "tcsh"])
            .failed(2)
            .contains("[possible values: bash, elvish, fish, powershell, zsh]")
    );
}

/// What bash itself offers, with the script loaded.
#[test]
fn bash_completes_with_it() {
    let script = run(&["completions", "bash"]).out;
    for (words, offered) in [
        ("idnow-webhooks se", ""),
        ("idnow-webhooks sa", "sandbox"),
        ("idnow-webhooks trigger --s", "--sandbox --set"),
        ("idnow-webhooks trigger session.co", "session.completed"),
        ("idnow-webhooks inbox retry-dead --l", "--limit"),
        ("idnow-webhooks completions p", "powershell"),
    ] {
        let words: Vec<_> = words.split(' ').collect();
        let (last, before) = (words.len() - 1, words[words.len() - 2]);
        let ask = format!(
            "source /dev/stdin; COMP_WORDS=({}); COMP_CWORD={last}
            _idnow__webhooks idnow-webhooks '{}' '{before}'; echo \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words[last],
        );
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", &ask]).stdin(Stdio::piped()).stdout(Stdio::piped());
        // A machine without bash has no use for it.
        let Ok(mut bash) = bash.spawn() else { return };
        bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let printed = bash.wait_with_output().unwrap().stdout;
        assert_eq!(String::from_utf8(printed).unwrap().trim(), offered, "{words:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child =
        command(&["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn the_help_tells_exit_codes_and_examples() {
    for name in ["listen", "sandbox", "trigger", "completions", "inbox"] {
        let help = run(&[name, "--help"]).out;
        assert!(help.contains("Exit codes: 0 ") && help.contains("\nExample"), "{name}: {help}");
    }
    assert!(run(&["--help"]).out.contains("Exit codes: 0 "));
}
