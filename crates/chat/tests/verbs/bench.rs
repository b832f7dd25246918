//! `stanchion bench`.

use crate::hub::Hub;

#[test]
fn each_message_is_counted_and_nothing_is_left_behind() {
    let hub = Hub::start();
    let bench = hub.run("alice", "bench --messages 50 --at-once 8 --json", &[]);
    assert_eq!((bench.code, &*bench.stderr), (0, ""), "{bench:?}");
    let told = &bench.json()[0];
    // One to find out what the recipient is, five alone, and the others.
    assert_eq!(told["sent"], 56);
    assert_eq!(told["delivered"], 56);
    assert_eq!(told["without_receipt"], 0);
    assert_eq!(told["ping"]["count"], 20);
    assert_eq!(told["alone"]["count"], 5);
    assert_eq!(told["together"]["count"], 50);
    let ms = |what: &str| told["together"][what].as_f64().unwrap();
    assert!(0.0 < ms("p50_ms") && ms("p50_ms") <= ms("p99_ms") && ms("p99_ms") <= ms("max_ms"));
    let rate = told["messages_per_second"].as_f64().unwrap();
    assert!((rate * told["seconds"].as_f64().unwrap() - 50.0).abs() < 0.001);
    assert_eq!(hub.home.leftovers(), 0);
    assert!(
        !hub.home.path("alice.sqlite").exists(),
        "the account's store is let alone"
    );
}

#[test]
fn a_recipient_of_its_own_is_measured_and_a_table_fits_80_columns() {
    let hub = Hub::start();
    let _listener = hub.listener("bob", &[]);
    let bench = hub.run("alice", "bench --messages 20 --to bob@hub.test", &[]);
    assert_eq!((bench.code, &*bench.stderr), (0, ""), "{bench:?}");
    for told in [
        "round trip",
        "MEDIAN",
        "messages/s",
        "bob@hub.test",
        "0 sent again",
    ] {
        assert!(bench.stdout.contains(told), "{told}: {bench:?}");
    }
    assert!(bench.stdout.lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn a_recipient_without_receipts_is_told_within_the_limit() {
    let hub = Hub::start();
    let all = "bench --messages 5 --to nobody@hub.test --limit 1s";
    let bench = hub.run("alice", all, &[]);
    assert_eq!(bench.code, 1, "{bench:?}");
    assert!(bench.one_line().contains("had no receipt"), "{bench:?}");
    assert!(bench.stdout.contains("there was no receipt"), "{bench:?}");
    assert!(bench.took.as_secs() < 10, "{bench:?}");
}
