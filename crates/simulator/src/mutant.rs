//! Deliberate faults of the product, compiled in under `--cfg stanchion_mutants` only.
//! What they are, and where, is the reliability crate's; here one is chosen for a thread.

#[cfg(stanchion_mutants)]
pub use stanchion_reliability::mutant::ALL;

/// Name and rule of each; none in a build without them.
#[cfg(not(stanchion_mutants))]
pub const ALL: &[(&str, &str)] = &[];

/// Whether this build has them.
pub const BUILT_IN: bool = cfg!(stanchion_mutants);

/// The name as it is known, if it is.
#[must_use]
pub fn known(name: &str) -> Option<&'static str> {
    ALL.iter()
        .map(|(known, _)| *known)
        .find(|known| *known == name)
}

/// A choice for this thread, until it is dropped.
pub(crate) struct Chosen(());

impl Chosen {
    pub(crate) fn new(name: Option<&'static str>) -> Self {
        choose(name);
        Self(())
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        choose(None);
    }
}

#[cfg(stanchion_mutants)]
fn choose(name: Option<&'static str>) {
    stanchion_reliability::mutant::choose(name);
}

#[cfg(not(stanchion_mutants))]
const fn choose(_: Option<&'static str>) {}
