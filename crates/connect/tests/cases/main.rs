//! What goes wrong on the way to a session, case by case: real sockets of the loopback
//! interface, servers that follow a script, a name server that fails; and for each what
//! the user is told, whom it blames, and how long it took. `docs/connect-cases.md` holds
//! the table, and is compared with the run.
//!
//! Each case is a test of its own. `connector` has the same in virtual time and in
//! memory, with what depends on the order of events; real servers are in `interop`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod case;
mod name_server;
mod outcome;
mod script;
#[path = "../scripted/mod.rs"]
mod scripted;
mod table;

mod dns;
mod login;
mod portal;
mod session;
mod several;
mod starttls;
mod stream;
mod tcp;
mod tls;
mod websocket;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Cases that run at the same moment: most only wait.
const AT_ONCE: usize = 12;

#[test]
fn the_table_in_the_documentation_is_what_the_run_says() {
    let families = [
        tcp::all(),
        dns::all(),
        tls::all(),
        portal::all(),
        websocket::all(),
        stream::all(),
        starttls::all(),
        login::all(),
        session::all(),
        several::all(),
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let rows = runtime.block_on(async {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut running = JoinSet::new();
        for (place, (family, name, case)) in families.into_iter().flatten().enumerate() {
            let turns = Arc::clone(&turns);
            running.spawn(async move {
                let _turn = turns.acquire().await.unwrap();
                (place, case.run(family, name).await)
            });
        }
        let mut rows = running.join_all().await;
        rows.sort_by_key(|(place, _)| *place);
        rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>()
    });
    assert!(rows.len() >= 40);
    table::close("Scripted servers", "connect-cases.md", &rows);
}
