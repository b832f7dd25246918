//! `stanchion completions` and `man`.

use crate::common::{Home, run};

#[test]
fn each_shell_gets_completions_of_every_verb_that_people_see() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(home.command("", &["completions", shell]));
        assert_eq!((script.code, &*script.stderr), (0, ""), "{shell}");
        for told in ["login", "outbox", "--password-file"] {
            let told = told.trim_start_matches("--");
            assert!(script.stdout.contains(told), "{shell}: {told}");
        }
        assert!(!script.stdout.contains("demo-end"), "{shell}");
    }
    let unknown = run(home.command("", &["completions", "csh"]));
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(unknown.one_line().contains("bash"), "{unknown:?}");
}

#[test]
fn the_manual_is_printed_by_verb_and_written_as_a_whole() {
    let home = Home::new();
    let page = run(home.command("", &["man", "server", "add"]));
    assert_eq!(page.code, 0, "{page:?}");
    for told in [
        ".TH stanchion-server-add 1",
        ".SH EXAMPLES",
        ".SH \"EXIT STATUS\"",
        "\\-\\-pin",
    ] {
        let plain = told.replace('"', "");
        let there = page.stdout.contains(told) || page.stdout.contains(&plain);
        assert!(there, "{told}: {}", page.stdout);
    }
    let unknown = run(home.command("", &["man", "sever"]));
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(unknown.one_line().contains("sever"), "{unknown:?}");

    let written = run(home.command("", &["man", "--dir", "pages/man1"]));
    assert_eq!(written.code, 0, "{written:?}");
    for name in ["stanchion", "stanchion-send", "stanchion-server-remove"] {
        assert!(
            home.path(&format!("pages/man1/{name}.1")).exists(),
            "{name}"
        );
    }
}
