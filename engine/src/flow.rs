//! Flow control: memory stays bounded because sources wait while too much is under way.
//!
//! Two things hold sources. An operator that can take no more holds those of one of its inputs
//! ([`SourceHold`]). And every exchange and every feedback edge counts the records that have been sent into
//! it and not yet read out of it, over all processes ([`Account`]); while there are more than
//! [`max_in_flight_records`](crate::RuntimeConfig::max_in_flight_records), it holds the sources it descends
//! from, until half of them are read.
//!
//! # Why this can not deadlock
//!
//! Only sources are ever held: never an exchange, a feedback edge or any operator. So whatever is in flight
//! moves on as if there were no limit, and one has to show only that each hold ends.
//!
//! 1. *An exchange that holds has something to read.* It takes a hold above the limit and keeps it above half
//!    of it; what processes and workers have not told each other yet is less than a quarter, so it can not
//!    hold when nothing is in flight.
//! 2. *What can be read is read.* A batch activates its reader. A reader that stops before the queue is
//!    empty, because it has had its turn ([`Ledger::turn`]), activates itself again.
//! 3. *Reading does not wait for a held source.* Operators read all their inputs whenever they run, except
//!    those that leave one unread until another has ended, and say so with
//!    [`OperatorBuilder::spare`](crate::operator::OperatorBuilder::spare). What waits unread holds no source that
//!    any operator of the job awaits the end of; so those sources are held only by exchanges that are read
//!    always, they end, and then everything is read. (To spare only those that the same operator awaits
//!    would not do: two operators could each await what the other one holds.)
//! 4. *What has been read leaves.* Without loops a record passes finitely many exchanges. In a loop it may
//!    come round again; the loop then has to let it out without new input from the sources. One that keeps
//!    more records than the limit going round *until* a source says something more would wait for ever: give
//!    it a higher limit, or keep the records in state.
//!
//! So in flight falls to half of the limit and the hold ends; what is left below may stay there unread (a
//! paused reader), but holds nobody.
//!
//! # What the bound is
//!
//! Per exchange at most the limit; and what is produced before a hold is seen: one turn of each source
//! ([`Ledger::read_limit`], or less where operators on the way make many records of one: sources that are held
//! again and again read less at once), and what crosses the network while the news of it does. Records inside one worker's operators are read and handed on within one
//! activation; a turn of a reader bounds them.
//!
//! # What it costs
//!
//! A batch costs an addition to a cell of its worker. Only when a worker's sum has moved by its share of the
//! limit is an atomic of the process touched, and only when that has moved by a sixteenth of the limit are the
//! other processes told.

mod account;
mod gate;
mod ledger;
mod state;

use std::collections::BTreeSet;
use std::rc::Rc;

pub(crate) use account::Account;
pub(crate) use gate::Gate;
pub use gate::SourceHold;
pub(crate) use ledger::{Ledger, loop_id};
pub use state::{ExchangeFlow, FlowState};

/// What a stream descends from: sources by index, and loops by [`loop_id`], because what comes out of a
/// feedback edge is known only when the loop is closed. [`Ledger::sources`] tells the sources of both.
pub(crate) type Lineage = Rc<BTreeSet<usize>>;

/// Both lineages in one.
pub(crate) fn both(a: &Lineage, b: &Lineage) -> Lineage {
    if b.is_subset(a) { Rc::clone(a) } else { Rc::new(a.union(b).copied().collect()) }
}
