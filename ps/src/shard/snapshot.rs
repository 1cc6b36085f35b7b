//! A server's part in checkpoints.

use waterwheel_engine::checkpoint::{Saved, Snapshot, Written};
use waterwheel_engine::{Clock, Error, Result};

use crate::placement::Placement;
use crate::server::ServerLogic;
use crate::shard::{Discipline, Shard};
use crate::snapshot::{LogicReader, LogicWriter};

/// A server as checkpoints see it.
pub(crate) struct ServerState<'a, S: ServerLogic, T: Clock> {
    pub(crate) shard: &'a mut Shard<S, T>,
    pub(crate) index: usize,
    pub(crate) servers: usize,
    pub(crate) placement: &'a Placement<S::Key>,
}

/// How rows are spread, as the checkpoint has it: number of servers and a placement that can be told.
type Spread = (usize, Option<String>);

impl<S: ServerLogic, T: Clock> ServerState<'_, S, T> {
    fn serves(&self) -> bool {
        self.index < self.servers
    }

    fn spread(&self) -> Spread {
        let name = match self.placement {
            Placement::Custom(_) => None,
            placement => Some(format!("{placement:?}")),
        };
        (self.servers, name)
    }
}

impl<S: ServerLogic, T: Clock> Snapshot for ServerState<'_, S, T> {
    fn mark(&mut self, to: &mut Written) -> Result<()> {
        if !self.serves() {
            return Ok(());
        }
        self.shard.expect_settled()?;
        self.shard.open()?;
        to.pooled().put(&self.spread())?;
        self.shard.logic.snapshot(&mut LogicWriter::new(to))
    }

    fn sweep(&mut self, to: &mut Written) -> Result<bool> {
        match self.serves() {
            true => self.shard.logic.sweep(&mut LogicWriter::new(to)),
            false => Ok(false),
        }
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        if !self.serves() {
            return Ok(());
        }
        self.shard.open()?;
        let before = from.pooled()?.next_item::<Spread>()?;
        let now = self.spread();
        let unmoved = now.1.is_some() && before.as_ref() == Some(&now);
        let (placement, servers) = (self.placement, self.servers);
        let server_of = |key: &dyn std::any::Any| match key.downcast_ref::<S::Key>() {
            Some(key) => placement.server_of(key, servers),
            None => Err(Error::internal("a row of another type of keys")),
        };
        let reader = LogicReader::of_server(from, (self.index, servers), &server_of, unmoved);
        self.shard.logic.restore(&mut reader?)
    }
}

impl<S: ServerLogic, T: Clock> Shard<S, T> {
    /// Whether the logic can take part in checkpoints.
    pub(crate) fn check_snapshot(&mut self) -> Result<()> {
        let mut written = Written::default();
        self.logic.snapshot(&mut LogicWriter::new(&mut written))?;
        while self.logic.sweep(&mut LogicWriter::new(&mut written))? {}
        Ok(())
    }

    /// Whether nothing is under way, as it has to be at the end of an epoch.
    fn expect_settled(&self) -> Result<()> {
        let waits = match &self.discipline {
            Discipline::Direct => false,
            Discipline::Locked(locks) => !locks.is_empty(),
            Discipline::Clocked(clocked) => !clocked.is_empty(),
        };
        if waits || self.ps.has_late() || !self.for_neighbour.is_empty() || self.ps.has_open() {
            return Err(Error::internal(format!(
                "operations are under way at the end of a checkpoint epoch: {:?}",
                self.ps
            )));
        }
        Ok(())
    }
}
