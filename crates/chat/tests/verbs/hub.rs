//! A hub with the accounts `alice`, `bob` and `carol`, and one of them who listens.

use std::ops::Deref;

use crate::common::Running;
use crate::common::house::House;

pub(crate) struct Hub {
    house: House,
}

impl Deref for Hub {
    type Target = House;

    fn deref(&self) -> &House {
        &self.house
    }
}

impl Hub {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(rest: &[&str]) -> Self {
        let house = House::start_with(&["alice", "bob", "carol"], rest);
        Self { house }
    }

    /// A listener that is connected; its first message has been received.
    pub(crate) fn listener(&self, user: &str, rest: &[&str]) -> Running {
        let mut listener = Running::start(self.command(user, "listen", rest));
        let to = format!("{user}@hub.test");
        let first = self.run("carol", "send --to", &[&to, "first"]);
        assert_eq!(first.code, 0, "{first:?}");
        assert!(listener.line().contains("first"));
        listener
    }
}
