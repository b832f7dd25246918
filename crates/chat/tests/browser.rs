//! The dashboard as a person has it: the hub, two accounts, `stanchion dashboard`, and a real
//! browser on it. `STANCHION_SCREENSHOTS=FOLDER` also keeps pictures of every page.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![cfg(unix)]

mod common;
mod webdriver;

use std::net::TcpListener;
use std::path::PathBuf;

use common::house::PASSWORD;
use common::{Home, Running, eventually, words};
use serde_json::{Value, json};
use webdriver::{Browser, ENTER, ESCAPE, TAB};

/// The pages, and the conversation with bob.
const PAGES: [&str; 4] = ["things", "chat", "chat/bob%40hub.test", "delivery"];

/// A port that nobody listens at, for something that is started again there.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A hub that can be killed, and who lives there.
struct House {
    hub: common::house::House,
}

impl House {
    fn start() -> Self {
        let hub = common::house::House::start(&["alice", "bob", "carol", "house"]);
        Self { hub }
    }

    /// The dashboard of alice, at that port.
    fn dashboard(&self, port: u16) -> Running {
        let listen = format!("127.0.0.1:{port}");
        let rest = ["--listen", &listen, "--json"];
        let mut dashboard = Running::start(self.hub.command("alice", "dashboard", &rest));
        let ready: Value = serde_json::from_str(&dashboard.line()).unwrap();
        let url = ready["url"].as_str().unwrap();
        assert_eq!(url.trim_end_matches('/'), format!("http://{listen}"));
        dashboard
    }

    /// bob, who takes in whatever comes.
    fn bob(&self) -> Running {
        let mut bob = Running::start(self.hub.command("bob", "listen", &["--json"]));
        self.say("carol", "bob", "are you there");
        assert_eq!(body(&bob.line()), "are you there");
        bob
    }

    /// A gateway with lamps and patients, which alice may read and set.
    fn gateway(&self) -> Running {
        let (starttls, pin) = (self.hub.address(), self.hub.pin().replace(':', ""));
        let text = format!(
            r#"
[[connection]]
jid = "house@hub.test"
connect = "{starttls}"
pin = "{pin}"
store = "house.sqlite"
readers = ["bob@hub.test"]
controllers = ["alice@hub.test"]

[[adapter]]
name = "lamps"
type = "simulated"
kind = "lamp"
count = 3
interval = "200ms"

[[adapter]]
name = "ward"
type = "simulated"
kind = "patient"
count = 12
interval = "500ms"
"#
        );
        self.hub.write("gateway.toml", &text);
        let words = words("gateway --config gateway.toml");
        Running::start(self.hub.home.command(PASSWORD, &words))
    }

    /// How often the first lamp acted, as it says itself, to somebody else.
    #[track_caller]
    fn actuations(&self) -> u64 {
        let rest = words("--all --json house@hub.test lamp-1 actuations");
        let read = self.hub.run("bob", "read", &rest);
        assert_eq!(read.code, 0, "{read:?}");
        read.json()[0]["value"].as_u64().unwrap()
    }

    #[track_caller]
    fn say(&self, from: &str, to: &str, text: &str) {
        let to = format!("{to}@hub.test");
        let sent = self.hub.run(from, "send", &["--to", &to, text]);
        assert_eq!(sent.code, 0, "{sent:?}");
    }
}

/// What a line of `listen --json` says.
fn body(line: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap();
    line["body"].as_str().unwrap().to_owned()
}

/// A page of the dashboard, once it is there and the client is connected.
#[track_caller]
fn visit(browser: &Browser, port: u16, page: &str) {
    browser.open(&format!("http://127.0.0.1:{port}/#/{page}"));
    browser.until("the page", "return !!document.querySelector('.page')");
    browser.until(
        "the connection",
        "return !!document.querySelector('.chip.link.up')",
    );
}

/// Bodies and stages of our messages, as they are to be seen.
fn ours(browser: &Browser) -> Vec<(String, String)> {
    let script = "return [...document.querySelectorAll('.message.out')].map((e) => \
         [e.querySelector('.body').textContent, e.querySelector('.stage-word').textContent])";
    serde_json::from_value(browser.script(script)).unwrap()
}

/// Writes into the field for messages, and sends.
fn write(browser: &Browser, text: &str) {
    browser.click(".composer textarea");
    browser.keys(&format!("{text}{ENTER}"));
    browser.until(
        "it is taken",
        "return !document.querySelector('.composer textarea').value",
    );
}

#[test]
fn what_is_written_while_the_hub_is_dead_is_kept_and_arrives_once_in_order() {
    let mut house = House::start();
    let mut bob = house.bob();
    let port = free_port();
    let _dashboard = house.dashboard(port);
    let browser = Browser::start(1280, 800);
    visit(&browser, port, "chat/bob%40hub.test");

    write(&browser, "before");
    assert_eq!(body(&bob.line()), "before");
    let there = |stage: &str| matches!(stage, "received" | "delivered" | "read");
    eventually("it is delivered", || {
        ours(&browser).iter().all(|(_, stage)| there(stage))
    });

    house.hub.kill_hub();
    browser.until(
        "it is seen that the hub is dead",
        "return !document.querySelector('.chip.link.up')",
    );
    let written: Vec<String> = (0..5).map(|n| format!("written in the dark {n}")).collect();
    written.iter().for_each(|text| write(&browser, text));
    let kept = || {
        let all = ours(&browser);
        all.len() == 6
            && all
                .iter()
                .skip(1)
                .zip(&written)
                .all(|((text, stage), wanted)| text == wanted && stage == "kept")
    };
    eventually("all are shown as kept", kept);
    // One that the page was told of before it was loaded again is as sure.
    browser.reload();
    eventually("all are shown as kept by a page that is new", kept);
    browser.until(
        "they are counted",
        "return document.querySelector('.chip.queue .num').textContent === '5'",
    );

    house.hub.start_hub();
    for wanted in &written {
        assert_eq!(&body(&bob.line()), wanted);
    }
    browser.until(
        "the connection is back",
        "return !!document.querySelector('.chip.link.up')",
    );
    eventually("all are delivered", || {
        let all = ours(&browser);
        all.len() == 6 && all.iter().all(|(_, stage)| there(stage))
    });
    browser.until(
        "nothing waits",
        "return document.querySelector('.chip.queue .num').textContent === '0'",
    );

    // The next one that bob gets is the next one: none of these came twice.
    write(&browser, "after");
    assert_eq!(body(&bob.line()), "after");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Has the things of the house shown.
fn watch(browser: &Browser, port: u16) {
    visit(browser, port, "things");
    browser.click(".things .empty button.main");
    browser.keys(&format!("house@hub.test{ENTER}"));
    browser.until(
        "the things are shown",
        "return [...document.querySelectorAll('.t-name')].some((e) => e.textContent === 'lamp-1')",
    );
}

#[test]
fn a_thing_is_watched_plotted_and_set_once() {
    let house = House::start();
    let port = free_port();
    let _gateway = house.gateway();
    let _dashboard = house.dashboard(port);
    let browser = Browser::start(1280, 800);
    watch(&browser, port);
    let rows = "return Number(document.querySelector('.t-view').getAttribute('aria-rowcount'))";
    browser.until("all of them are", &format!("{rows} === 16"));
    browser.click(".things .find");
    browser.keys("lamp");
    browser.until("the lamps alone are", &format!("{rows} === 4"));

    visit(&browser, port, "things/house%40hub.test/lamp-1");
    browser.until(
        "a level can be set",
        "return !!document.querySelector('.control input[type=number]')",
    );
    let field = |name: &str| {
        format!(
            "[...document.querySelectorAll('.field')].find((e) => e.querySelector('.t-label').textContent === '{name}')"
        )
    };
    browser.script("document.querySelector('.control input[type=number]').select()");
    browser.keys(&format!("42{ENTER}"));
    browser.until(
        "the command is done",
        "return document.querySelector('.commands li.done')?.textContent.includes('42')",
    );
    let told = |name: &str, value: &str| {
        format!(
            "return {}?.querySelector('.field-value').textContent === '{value}'",
            field(name)
        )
    };
    browser.until("the lamp has that level", &told("level", "42"));
    assert_eq!(house.actuations(), 1);

    // What is out of bounds does not leave the page as done.
    browser.script("document.querySelector('.control input[type=number]').select()");
    browser.keys(&format!("142{ENTER}"));
    assert_eq!(house.actuations(), 1);
    assert_eq!(
        browser.script("return document.querySelectorAll('.commands li.done').length"),
        1
    );

    browser.script(&format!("{}.click()", field("level")));
    let plotted = "return document.querySelector('.plot-says').textContent.startsWith('Lowest')";
    browser.until("the level is plotted", plotted);
    browser.click(".segments button:nth-child(2)");
    browser.until("an hour is shown", "return document.querySelector('.segments button:nth-child(2)').getAttribute('aria-pressed') === 'true'");
    browser.until("the level is plotted over an hour", plotted);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn what_others_say_is_text_and_the_console_has_nothing_to_say() {
    let house = House::start();
    let port = free_port();
    let _dashboard = house.dashboard(port);
    let browser = Browser::start(1280, 800);
    visit(&browser, port, "things");
    let hostile = [
        "<img src=x onerror=\"document.title='taken'\">",
        "<script>document.title='taken'</script>",
        "\" autofocus onfocus=alert(1) x=\"",
        "{{constructor.constructor('document.title=1')()}}",
    ];
    for text in hostile {
        house.say("carol", "alice", text);
    }
    browser.click(".top-tabs a[href='#/chat']");
    browser.click(".talk[href='#/chat/carol%40hub.test']");
    eventually("they are shown as they are", || {
        browser.texts(".message.in .body") == hostile
    });
    browser.until("the list shows the last", "return [...document.querySelectorAll('.talk-preview')].some((e) => e.textContent.includes('constructor'))");
    for page in PAGES {
        visit(&browser, port, page);
    }
    assert_eq!(
        browser.script("return document.querySelectorAll('#main img, #main script').length"),
        0
    );
    let title = browser.script("return document.title");
    assert!(title.as_str().unwrap().ends_with("Stanchion"), "{title}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_conversation_takes_no_mouse() {
    let house = House::start();
    let mut bob = house.bob();
    let port = free_port();
    let _dashboard = house.dashboard(port);
    let browser = Browser::start(1280, 800);
    visit(&browser, port, "things");
    let focus = |what: &str, script: &str| {
        browser.until(
            what,
            &format!("const e = document.activeElement; return {script}"),
        )
    };

    browser.keys(TAB);
    focus(
        "the first stop leads past the strip",
        "e.id === 'skip' && e.getBoundingClientRect().top >= 0",
    );
    browser.keys(ENTER);
    focus("the page has the focus", "e.id === 'main'");
    browser.keys("?");
    focus("the keys are shown", "!!e.closest('dialog')");
    browser.keys(ESCAPE);
    browser.until("they are away", "return !document.querySelector('dialog')");
    browser.keys("2");
    browser.until(
        "the conversations are shown",
        "return !!document.querySelector('.page.chat')",
    );
    browser.keys("n");
    focus(
        "an address is asked for",
        "!!e.closest('dialog') && e.tagName === 'INPUT'",
    );
    browser.keys(&format!("bob@hub.test{ENTER}"));
    browser.until(
        "the conversation is open",
        "return document.querySelector('.talk-page')?.offsetParent != null",
    );
    // However many stops it takes: the field is one of them.
    let writes = "return document.activeElement === document.querySelector('.composer textarea')";
    for _ in 0..40 {
        if browser.script(writes) == true {
            break;
        }
        browser.keys(TAB);
    }
    browser.until("the field has the focus", writes);
    browser.keys(&format!("by keys alone{ENTER}"));
    assert_eq!(body(&bob.line()), "by keys alone");
    eventually("it is shown", || {
        ours(&browser)
            .iter()
            .any(|(text, _)| text == "by keys alone")
    });

    // No stop is a trap, and where the focus is can be seen.
    browser.keys(ESCAPE);
    let mut stops = std::collections::BTreeSet::new();
    for _ in 0..40 {
        browser.keys(TAB);
        let stop = browser.script(
            "const e = document.activeElement; const s = getComputedStyle(e); \
             return [e.tagName + '.' + e.className + (e.getAttribute('aria-label') || e.textContent), s.outlineStyle, e.tagName === 'BODY']",
        );
        assert!(
            stop[1] != "none" || stop[2] == true,
            "the focus on {} cannot be seen",
            stop[0]
        );
        stops.insert(stop[0].as_str().unwrap().to_owned());
    }
    assert!(stops.len() > 12, "{stops:?}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_phone_needs_no_sideways_scrolling_and_goes_from_the_list_to_the_conversation_and_back() {
    let house = House::start();
    let port = free_port();
    let _dashboard = house.dashboard(port);
    let browser = Browser::start(360, 640);
    visit(&browser, port, "chat");
    house.say("carol", "alice", &"a_word_without_an_end_".repeat(30));
    browser.until("it is in the list", "return [...document.querySelectorAll('.talk-preview')].some((e) => e.textContent.startsWith('a_word'))");
    let sideways = "return document.documentElement.scrollWidth > innerWidth || document.querySelector('.page').scrollWidth > innerWidth";
    for page in PAGES.iter().chain(&["chat/carol%40hub.test"]) {
        visit(&browser, port, page);
        assert_eq!(browser.script(sideways), false, "{page}");
    }
    visit(&browser, port, "things");
    browser.click("#tabs a[href='#/chat']");
    let at_the_end = "const box = document.querySelector('#tabs').getBoundingClientRect(); return Math.round(box.bottom) === innerHeight";
    assert_eq!(
        browser.script(at_the_end),
        true,
        "the tabs are not at the lower end"
    );
    browser.click(".talk[href='#/chat/carol%40hub.test']");
    browser.until("the conversation has the page for itself", "return !document.querySelector('.chat-list').offsetParent && !!document.querySelector('.composer').offsetParent");
    browser.click(".talk-page .back");
    browser.until(
        "the list is back",
        "return !!document.querySelector('.chat-list').offsetParent",
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_page_whose_server_is_gone_says_so_keeps_what_was_written_and_comes_back_by_itself() {
    let house = House::start();
    let port = free_port();
    let dashboard = house.dashboard(port);
    let browser = Browser::start(1280, 800);
    visit(&browser, port, "chat/bob%40hub.test");
    dashboard.signal("KILL");
    drop(dashboard);
    browser.until("the page says so", "return document.querySelector('#banner').textContent.includes('not reachable') && !!document.querySelector('#banner').offsetParent");
    browser.click(".composer textarea");
    browser.keys(&format!("not lost{ENTER}"));
    browser.until(
        "it is told that nothing was done",
        "return !!document.querySelector('.toast.failure')",
    );
    assert_eq!(
        browser.script("return document.querySelector('.composer textarea').value"),
        "not lost"
    );

    let _dashboard = house.dashboard(port);
    browser.until(
        "the page is back",
        "return document.querySelector('#banner').hidden",
    );
    browser.until(
        "the connection is up",
        "return !!document.querySelector('.chip.link.up')",
    );
    browser.click(".composer textarea");
    browser.keys(ENTER);
    eventually("it is sent with the token of the new server", || {
        ours(&browser).iter().any(|(text, _)| text == "not lost")
    });
}

#[test]
fn a_key_of_the_tour_kills_the_server_and_the_page_counts_nothing_lost() {
    let home = Home::new();
    let mut tour = Running::start(home.command("", &words("demo --tour --json")));
    let links: Value = serde_json::from_str(&tour.line()).unwrap();
    let alice = links["dashboards"]["alice"].as_str().unwrap();
    let browser = Browser::start(1280, 800);
    browser.open(&format!("{alice}#/tour"));
    let says = |what: &str| {
        format!(
            "return [...document.querySelectorAll('.tour-log p')].some((e) => e.textContent.includes('{what}'))"
        )
    };
    browser.until("the ends are connected", &says("connected"));
    browser.keys("k");
    browser.until("the server was killed", &says("server killed"));
    browser.until("it is back", &says("server started again"));
    browser.until(
        "the page is connected again",
        "return !!document.querySelector('.chip.link.up')",
    );
    let all_there = "const is = Object.fromEntries([...document.querySelectorAll('.tour .fact')].map((e) => \
         [e.firstChild.textContent, Number(e.lastChild.textContent)])); \
         return is['Sent'] > 0 && is['Sent'] - is['Delivered'] <= 1";
    browser.until("all that waited has arrived", all_there);
    let counted = browser.texts(".giant .big");
    assert_eq!(counted[..2], ["0", "0"], "lost and duplicated");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    tour.signal("INT");
    assert_eq!(tour.end().code, 0);
}

/// The least contrast of text to be seen (WCAG 2, 1.4.3): `[ratio, text]` of those below it.
const CONTRAST: &str = r"
const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return [m[0], m[1], m[2], m[3] ?? 1]; };
const light = ([r, g, b]) => { const f = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
const behind = (el) => { for (let e = el; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c; } return [255, 255, 255, 1]; };
const bad = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const el = walk.currentNode.parentElement;
  if (!walk.currentNode.textContent.trim() || !el.offsetParent || el.closest('.unseen, .skip, option, :disabled')) continue;
  const s = getComputedStyle(el);
  const [a, b] = [light(parse(s.color)), light(behind(el))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  const size = parseFloat(s.fontSize);
  const least = size >= 24 || (size >= 18.66 && Number(s.fontWeight) >= 700) ? 3 : 4.5;
  if (ratio < least) bad.push([ratio.toFixed(2), el.textContent.slice(0, 40)]);
}
return bad;";

#[test]
fn every_page_can_be_read_in_the_dark_and_in_the_light() {
    let house = House::start();
    let port = free_port();
    let _dashboard = house.dashboard(port);
    house.say("carol", "alice", "good evening");
    let browser = Browser::start(1280, 800);
    let mut backgrounds = Vec::new();
    for dark in [false, true] {
        browser.dark(dark);
        for page in PAGES.iter().chain(&["chat/carol%40hub.test"]) {
            visit(&browser, port, page);
            assert_eq!(browser.script(CONTRAST), json!([]), "{page}, dark: {dark}");
        }
        backgrounds.push(browser.script("return getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(backgrounds[0], backgrounds[1]);
    // The person's own choice is remembered.
    browser.keys("t");
    browser.until(
        "it is light",
        "return document.documentElement.dataset.theme === 'light'",
    );
    browser.reload();
    browser.until(
        "it is light again",
        "return document.documentElement.dataset.theme === 'light'",
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Pictures of every page, wide and on a phone, light and dark, for the eyes of a person.
#[test]
#[ignore = "it is for eyes: cargo xtask screenshots"]
fn pictures_of_every_page_for_who_asks_for_them() {
    let folder = std::env::var_os("STANCHION_SCREENSHOTS").map(PathBuf::from);
    let folder = folder.expect("run `cargo xtask screenshots`");
    std::fs::create_dir_all(&folder).unwrap();
    let mut house = House::start();
    let mut bob = house.bob();
    let port = free_port();
    let _dashboard = house.dashboard(port);
    let _gateway = house.gateway();
    house.say("carol", "alice", "The pump on level two is warm again.");
    let browser = Browser::start(1280, 800);
    watch(&browser, port);
    visit(&browser, port, "chat/bob%40hub.test");
    write(&browser, "Could you bring the spare sensor to room 11?");
    bob.line();
    house.hub.kill_hub();
    browser.until(
        "it is seen",
        "return !document.querySelector('.chip.link.up')",
    );
    write(&browser, "Written while no server was there");
    let page = |page: &str| (page.to_owned(), format!("http://127.0.0.1:{port}/#/{page}"));
    let mut pages: Vec<_> = PAGES.into_iter().map(page).collect();
    pages.push(page("things/house%40hub.test/patient-1"));
    // The tour has a house of its own.
    let tour = words("demo --tour --json");
    let mut tour = Running::start(house.hub.home.command("", &tour));
    let links: Value = serde_json::from_str(&tour.line()).unwrap();
    let alice = links["dashboards"]["alice"].as_str().unwrap();
    pages.push(("tour".to_owned(), format!("{alice}#/tour")));
    for (size, width, height) in [("wide", 1280, 800), ("phone", 390, 844)] {
        browser.screen(width, height, size == "phone");
        for colours in ["light", "dark"] {
            browser.dark(colours == "dark");
            for (page, address) in &pages {
                browser.open(address);
                browser.reload();
                browser.until("the page", "return !!document.querySelector('.page')");
                let name = page.split(['/', '%']).collect::<Vec<_>>().join("-");
                let file = folder.join(format!("{name}-{size}-{colours}.png"));
                std::fs::write(file, browser.picture()).unwrap();
            }
        }
    }
}
