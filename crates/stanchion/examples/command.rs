//! A lamp that is switched by a command (XEP-0050), by whoever its account lets in.
//!
//!     STANCHION_PASSWORD=… cargo run -p stanchion --example command -- \
//!         lamp@home.example 192.0.2.7:5222 SHA-256-OF-THE-CERTIFICATE
//!
//! It is reached as `lamp@home.example/lamp`, and ends with its input. Any client that knows commands can run it; `stanchion::Client::commands` is how one of
//! ours does.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stanchion::Client;
use stanchion::services::commands::{Conclusion, Execution, Offer, Over, Stage};
use stanchion::stanza::Text;
use stanchion::stanza::payload::forms::{Field, FieldType, Form, FormType};
use tokio::io::AsyncReadExt as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [jid, place, pin] = &words[..] else {
        return Err("usage: command JID HOST:PORT PIN".into());
    };
    let (host, port) = place.rsplit_once(':').ok_or("the place is HOST:PORT")?;
    let (client, _incoming) = Client::builder(jid.parse()?)
        .password(std::env::var("STANCHION_PASSWORD")?.into())
        .server(host, port.parse()?)
        .pin(pin.parse()?)
        .resource("lamp")
        .store_in_memory()
        .start()
        .await?;

    let switch = Offer::new(
        Text::from_static("switch"),
        Text::from_static("Switch the lamp"),
    );
    let offered = client.commands().offer(switch).await?;
    println!("offered");
    let lit = Arc::new(AtomicBool::new(false));
    let serve = offered.serve(move |execution| switched(execution, Arc::clone(&lit)));
    let mut input = tokio::io::stdin();
    tokio::select! {
        () = serve => {}
        // Until its input ends.
        _ = input.read_u8() => {}
    }
    Ok(client.shutdown().await?)
}

/// One execution: asks, does it, and says what it has done.
async fn switched(mut execution: Execution, lit: Arc<AtomicBool>) -> Result<(), Over> {
    let mut on = Field::new(
        Text::from_static("on"),
        Text::from(lit.load(Ordering::Relaxed)),
    );
    on.kind = Some(FieldType::Boolean);
    on.required = true;
    let step = execution
        .ask(Stage::form(Form::new(FormType::Form).with(on)))
        .await?;
    let value = step.form.as_ref().and_then(|form| form.value("on"));
    let to = value.is_some_and(|v| matches!(v.as_str(), "1" | "true"));
    lit.store(to, Ordering::Relaxed);
    println!("{}", if to { "on" } else { "off" });
    execution.conclude(Conclusion::done()).await
}
