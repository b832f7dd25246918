//! Neighbours on real interfaces: two that the test makes in a network of its own (Linux).
#![cfg(target_os = "linux")]

use std::process::Command;
use std::time::Instant;

use stanchion_device::model::SettingValue;
use stanchion_device::remote::Command as ToThing;
use stanchion_device::serverless::Interfaces;

use crate::house::*;

/// Makes the interfaces, and runs the test below there, as it stands.
const INSIDE: &str = "ip link set lo up && ip link add v0 type veth peer name v1 \
    && ip addr add 10.97.0.1/24 dev v0 && ip addr add 10.97.0.2/24 dev v1 \
    && ip link set v0 up && ip link set v1 up && exec \"$0\" --ignored --exact \
    namespace::two_find_each_other_over_every_interface_there_is --nocapture";

#[test]
fn on_interfaces_of_their_own_neighbours_find_each_other() {
    let may = Command::new("unshare").args(["-rn", "ip", "link"]).output();
    if !may.is_ok_and(|made| made.status.success()) {
        eprintln!("left out: this machine lets nobody make a network (unshare -rn)");
        return;
    }
    let binary = std::env::current_exe().unwrap();
    let mut inside = Command::new("unshare");
    inside.args(["-rn", "sh", "-c", INSIDE]).arg(binary);
    let done = inside.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    eprintln!("{said}");
    let out = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && out.contains("1 passed"), "{out}");
}

#[tokio::test]
#[ignore = "run by the test above, in a network of its own"]
async fn two_find_each_other_over_every_interface_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let mut lamp = config(folder.path(), "lamp@hall", 5353);
    lamp.interfaces = Interfaces::All;
    let lamp = LampHouse::start(lamp, all_to("phone@pocket")).await;
    let mut phone = config(folder.path(), "phone@pocket", 5353);
    phone.interfaces = Interfaces::Named(vec!["v0".to_owned(), "v1".to_owned()]);
    let (phone, _messages) = start(phone).await;
    lamp.here
        .trust(name("phone@pocket"), phone.fingerprint())
        .await;
    phone
        .trust(name("lamp@hall"), lamp.here.fingerprint())
        .await;
    seen(&phone, &name("lamp@hall")).await;
    seen(&lamp.here, &name("phone@pocket")).await;
    eprintln!(
        "on interfaces of their own, found after {:?}",
        began.elapsed()
    );
    let on = ToThing::set(text("on"), SettingValue::Boolean(true));
    phone.neighbour(name("lamp@hall")).set(on).await.unwrap();
    assert_eq!(lamp.done(), [true]);
    phone.shutdown().await;
    lamp.stop().await;
}
