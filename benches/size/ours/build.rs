//! Links what is left of the unwinder into the program. As a library of its own it would be
//! mapped and relocated at every start, for a program that aborts in a panic, and take as much
//! memory as it is long.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}"));
    let is = |what, value: &str| target(what).is_ok_and(|target| target == value);
    if is("OS", "linux") && is("ENV", "gnu") {
        println!("cargo::rustc-link-lib=static=gcc_eh");
    }
}
