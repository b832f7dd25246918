//! `stanchion login`.

use std::net::TcpListener;

use crate::common::house::PASSWORD;
use crate::common::{Ended, Running, run};
use crate::hub::Hub;

impl Hub {
    /// `login` at this hub, with the password in the environment.
    fn login(&self, jid: &str, password: &str, rest: &[&str]) -> Ended {
        let mut all = vec!["login", jid, "--endpoint", self.address()];
        all.extend(["--pin", self.pin()]);
        all.extend(rest);
        run(self.home.command(password, &all))
    }

    fn registered(&self) -> Vec<String> {
        let list = run(self.home.command("", &["server", "list", "--json"]));
        let account = |v: &serde_json::Value| v["account"].as_str().unwrap().to_owned();
        list.json().iter().map(account).collect()
    }
}

#[test]
fn an_account_that_works_is_kept_and_then_needs_no_jid() {
    let hub = Hub::start();
    let _listener = hub.listener("bob", &[]);
    let login = hub.login("alice@hub.test", PASSWORD, &[]);
    assert_eq!((login.code, &*login.stderr), (0, ""), "{login:?}");
    for told in [
        "TLS handshake",
        "a session, after",
        "alice@hub.test is added",
    ] {
        assert!(login.stdout.contains(told), "{told}: {login:?}");
    }
    let all = ["send", "--to", "bob@hub.test", "hello"];
    let sent = run(hub.home.command("", &all));
    assert_eq!(sent.code, 0, "{sent:?}");

    let again = hub.login("alice@hub.test", PASSWORD, &["--json"]);
    let told = &again.json()[0];
    assert_eq!(told["outcome"], "replaced");
    assert_eq!(told["established"], true);
    assert_eq!(told["made"], false);
    assert_eq!(hub.login("carol@hub.test", PASSWORD, &[]).code, 0);
    assert_eq!(hub.registered(), ["alice@hub.test", "carol@hub.test"]);
}

#[test]
fn a_wrong_password_keeps_nothing() {
    let hub = Hub::start();
    let login = hub.login("alice@hub.test", "wrong", &["--json"]);
    assert_eq!(login.code, 13, "{login:?}");
    assert!(login.one_line().contains("nothing is kept"), "{login:?}");
    assert_eq!(login.json()[0]["outcome"], "not-kept");
    assert_eq!(hub.registered(), Vec::<String>::new());
}

#[test]
fn the_password_of_a_program_is_the_first_line_of_its_input() {
    let hub = Hub::start();
    let login = |input: &str| {
        let all = ["login", "alice@hub.test", "--endpoint", hub.address()];
        let mut command = hub.home.command("", &all);
        command.args(["--pin", hub.pin()]);
        command.env_remove("STANCHION_PASSWORD");
        let mut login = Running::start(command);
        login.write(input);
        login.end()
    };
    let none = login("");
    assert_eq!(none.code, 2, "{none:?}");
    assert!(none.one_line().contains("--password-file"), "{none:?}");
    assert_eq!(login("wrong\n").code, 13);
    assert_eq!(login(&format!("{PASSWORD}\nmore\n")).code, 0);
}

#[test]
fn a_new_account_is_made_once_and_kept() {
    let hub = Hub::start_with(&["--registration"]);
    let made = hub.login("dora@hub.test", "her-own", &["--register"]);
    assert_eq!(made.code, 0, "{made:?}");
    assert!(made.stdout.contains("is made, and added"), "{made:?}");
    assert_eq!(hub.registered(), ["dora@hub.test"]);
    let taken = hub.login("dora@hub.test", "another", &["--register"]);
    assert_eq!(taken.code, 13, "{taken:?}");
    assert!(taken.one_line().contains("without --register"), "{taken:?}");

    let closed = Hub::start();
    let refused = closed.login("dora@hub.test", "her-own", &["--register"]);
    assert_eq!(refused.code, 13, "{refused:?}");
    assert!(refused.one_line().contains("was not made"), "{refused:?}");
    assert_eq!(closed.registered(), Vec::<String>::new());
}

#[test]
fn a_server_that_is_away_is_told_and_kept_only_if_that_is_said() {
    let hub = Hub::start();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let free = free.unwrap().to_string();
    let mut all = vec!["login", "alice@hub.test", "--endpoint", &free];
    let away = run(hub.home.command(PASSWORD, &all));
    assert_eq!(away.code, 12, "{away:?}");
    assert!(away.one_line().contains("--no-test"), "{away:?}");
    assert_eq!(hub.registered(), Vec::<String>::new());
    all.push("--no-test");
    let kept = run(hub.home.command(PASSWORD, &all));
    assert_eq!((kept.code, &*kept.stderr), (0, ""), "{kept:?}");
    assert_eq!(hub.registered(), ["alice@hub.test"]);
}

#[test]
fn without_a_terminal_the_account_must_be_given() {
    let hub = Hub::start();
    let login = run(hub.home.command(PASSWORD, &["login"]));
    assert_eq!(login.code, 2, "{login:?}");
    assert!(login.one_line().contains("stanchion login name@domain"));
}
