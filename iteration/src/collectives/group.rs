//! Two streams, one of which or both are complete first.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use waterwheel_engine::{CoProcessFunction, Collector, ForRound, KeyedCoProcessFunction, Record, Result};

/// Hands over the records of each key when both streams have ended.
pub(super) struct CoGroup<F>(pub(super) F);

/// The records of one key, and how many of the streams have ended.
#[derive(Serialize, Deserialize)]
pub(super) struct Group<A, B> {
    first: Vec<A>,
    second: Vec<B>,
    n_ended: u8,
}

impl<A, B> Default for Group<A, B> {
    fn default() -> Self {
        Group { first: Vec::new(), second: Vec::new(), n_ended: 0 }
    }
}

impl<F> CoGroup<F> {
    fn end<K, A, B, I>(&self, key: &K, group: &mut Group<A, B>, out: &mut Collector<I::Item>) -> Result<()>
    where
        F: Fn(&K, Vec<A>, Vec<B>) -> I,
        I: IntoIterator,
    {
        group.n_ended += 1;
        if group.n_ended == 2 {
            let (first, second) = (std::mem::take(&mut group.first), std::mem::take(&mut group.second));
            out.batch().extend((self.0)(key, first, second));
        }
        Ok(())
    }
}

impl<K, A, B, F, I> KeyedCoProcessFunction<K, A, B> for CoGroup<F>
where
    A: Record,
    B: Record,
    F: Fn(&K, Vec<A>, Vec<B>) -> I,
    I: IntoIterator<Item: 'static>,
{
    type State = Group<A, B>;
    type Out = I::Item;

    fn process1(
        &mut self,
        _key: &K,
        group: &mut Group<A, B>,
        record: A,
        _out: &mut Collector<I::Item>,
    ) -> Result<()> {
        group.first.push(record);
        Ok(())
    }

    fn process2(
        &mut self,
        _key: &K,
        group: &mut Group<A, B>,
        record: B,
        _out: &mut Collector<I::Item>,
    ) -> Result<()> {
        group.second.push(record);
        Ok(())
    }

    fn end_of_input1(
        &mut self,
        key: &K,
        group: &mut Group<A, B>,
        out: &mut Collector<I::Item>,
    ) -> Result<()> {
        self.end(key, group, out)
    }

    fn end_of_input2(
        &mut self,
        key: &K,
        group: &mut Group<A, B>,
        out: &mut Collector<I::Item>,
    ) -> Result<()> {
        self.end(key, group, out)
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}

/// Keeps records until the broadcast ones are complete.
pub(super) struct WithBroadcast<A, B, F> {
    f: Rc<F>,
    waiting: Vec<A>,
    broadcast: Vec<B>,
    is_complete: bool,
}

impl<A, B, F> WithBroadcast<A, B, F> {
    pub(super) fn new(f: F) -> Self {
        Self::of(Rc::new(f))
    }

    fn of(f: Rc<F>) -> Self {
        WithBroadcast { f, waiting: Vec::new(), broadcast: Vec::new(), is_complete: false }
    }
}

impl<A, B, E: 'static, F: Fn(A, &[B]) -> E> CoProcessFunction<A, B> for WithBroadcast<A, B, F> {
    type Out = E;

    fn process1(&mut self, record: A, out: &mut Collector<E>) -> Result<()> {
        if self.is_complete {
            out.emit((self.f)(record, &self.broadcast));
        } else {
            self.waiting.push(record);
        }
        Ok(())
    }

    fn process2(&mut self, record: B, _out: &mut Collector<E>) -> Result<()> {
        self.broadcast.push(record);
        Ok(())
    }

    fn end_of_input2(&mut self, out: &mut Collector<E>) -> Result<()> {
        self.is_complete = true;
        out.batch().extend(self.waiting.drain(..).map(|record| (self.f)(record, &self.broadcast)));
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Fresh(Self::of(Rc::clone(&self.f)))
    }
}
