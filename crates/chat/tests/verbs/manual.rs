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

#[test]
fn every_verb_that_people_see_has_a_page_of_its_own() {
    let home = Home::new();
    let written = run(home.command("", &["man", "--dir", "pages"]));
    assert_eq!(written.code, 0, "{written:?}");
    let mut names = Vec::new();
    for page in std::fs::read_dir(home.path("pages")).unwrap() {
        let page = page.unwrap().path();
        let name = page.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(text.contains(&format!(".TH {name} 1")), "{name}");
        names.push(name);
    }
    for name in ["stanchion", "stanchion-send", "stanchion-server-add"] {
        assert!(names.iter().any(|n| n == name), "{names:?}");
    }
    // Two verbs with one page would be fewer files than pages.
    let told = format!("wrote {} pages", names.len());
    assert!(written.stdout.contains(&told), "{written:?}");
    let hidden = |name: &String| name.contains("-end") || name.ends_with("help");
    assert!(!names.iter().any(hidden), "{names:?}");
}
