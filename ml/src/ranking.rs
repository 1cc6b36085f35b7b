//! Quality of ranked lists: nDCG, recall and hit rate, over all of them and by window.
//!
//! [`RankingQuality`] adds lists up, [`QualityByWindow`] does so by window and writes CSV, and [`quality_by_window`] is the
//! operator on a stream, with a [`QualityState`] that shows the windows while a job runs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use waterwheel_engine::{
    Clock, Collector, DataStream, ProcessFunction, Record, Result, StateReader, StateWriter,
};

/// Quality of lists of `k` items each: sums, from which means are made.
///
/// | measure | of a list |
/// |---|---|
/// | nDCG | `Σ 1 / log2(1 + rank)` over the relevant items in it, over the greatest that there can be |
/// | recall | the share of the relevant items that are in it |
/// | hit rate | 1 if any is |
///
/// Ranks count from 1. Of a single relevant item, as in *test, then learn*, nDCG is `1 / log2(1 + rank)`, and recall is the
/// hit rate. A list for which nothing is relevant tells nothing and is not counted.
///
/// # References
/// Järvelin and Kekäläinen, *Cumulated gain-based evaluation of IR techniques*, TOIS 20(4), 2002.
///
/// # Examples
/// ```
/// use waterwheel_ml::ranking::RankingQuality;
///
/// let mut quality = RankingQuality::default();
/// quality.add_list(&[7, 3, 9], &[3], 3);
/// quality.add_rank(None);
/// assert_eq!((quality.lists(), quality.hit_rate()), (2, Some(0.5)));
/// assert!((quality.ndcg().unwrap() - 0.630930 / 2.0).abs() < 1e-6);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RankingQuality {
    lists: u64,
    hits: u64,
    ndcg: f64,
    recall: f64,
}

/// What an item at this rank, from 1, is worth.
fn gain(rank: usize) -> f64 {
    1.0 / (1.0 + rank as f64).log2()
}

impl RankingQuality {
    /// Adds a list for which one item is relevant, which is at this rank, from 1, or not in it.
    pub fn add_rank(&mut self, rank: Option<usize>) {
        self.lists += 1;
        if let Some(rank) = rank {
            self.hits += 1;
            self.ndcg += gain(rank.max(1));
            self.recall += 1.0;
        }
    }

    /// Adds the first `k` of a list of items, of which these are relevant.
    pub fn add_list(&mut self, list: &[u64], relevant: &[u64], k: usize) {
        let best: f64 = (1..=relevant.len().min(k)).map(gain).sum();
        if best == 0.0 {
            return;
        }
        let ranks = list.iter().take(k).zip(1..).filter(|(item, _)| relevant.contains(item));
        let (found, gained) = ranks.fold((0, 0.0), |(found, sum), (_, rank)| (found + 1, sum + gain(rank)));
        self.lists += 1;
        self.hits += u64::from(found > 0);
        self.ndcg += gained / best;
        self.recall += f64::from(found) / relevant.len() as f64;
    }

    /// Adds what another one has added up.
    pub fn merge(&mut self, other: &Self) {
        self.lists += other.lists;
        self.hits += other.hits;
        self.ndcg += other.ndcg;
        self.recall += other.recall;
    }

    /// Number of lists.
    pub fn lists(&self) -> u64 {
        self.lists
    }

    /// Mean nDCG; `None` without lists.
    pub fn ndcg(&self) -> Option<f64> {
        self.mean(self.ndcg)
    }

    /// Mean recall; `None` without lists.
    pub fn recall(&self) -> Option<f64> {
        self.mean(self.recall)
    }

    /// Share of lists with a relevant item; `None` without lists.
    pub fn hit_rate(&self) -> Option<f64> {
        self.mean(self.hits as f64)
    }

    fn mean(&self, sum: f64) -> Option<f64> {
        (self.lists > 0).then(|| sum / self.lists as f64)
    }
}

/// Quality of ranked lists by window: of time, or of so many lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QualityByWindow {
    windows: BTreeMap<i64, RankingQuality>,
}

impl QualityByWindow {
    /// The sums of a window, which begins with none.
    pub fn window(&mut self, window: i64) -> &mut RankingQuality {
        self.windows.entry(window).or_default()
    }

    /// The windows that have lists, in order.
    pub fn windows(&self) -> impl Iterator<Item = (i64, &RankingQuality)> {
        self.windows.iter().map(|(window, quality)| (*window, quality))
    }

    /// All windows together.
    pub fn total(&self) -> RankingQuality {
        let mut total = RankingQuality::default();
        self.windows.values().for_each(|quality| total.merge(quality));
        total
    }

    /// Writes a header and a line for each window: `window,lists,ndcg,recall,hit_rate`.
    ///
    /// # Errors
    /// Those of the writer.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_ml::ranking::QualityByWindow;
    ///
    /// let mut quality = QualityByWindow::default();
    /// quality.window(3).add_rank(Some(1));
    /// quality.window(3).add_rank(None);
    /// let mut csv = Vec::new();
    /// quality.write_csv(&mut csv)?;
    /// assert_eq!(csv, b"window,lists,ndcg,recall,hit_rate\n3,2,0.500000,0.500000,0.500000\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_csv(&self, mut out: impl Write) -> io::Result<()> {
        writeln!(out, "window,lists,ndcg,recall,hit_rate")?;
        for (window, quality) in self.windows() {
            let [ndcg, recall, hits] = [quality.ndcg, quality.recall, quality.hits as f64]
                .map(|sum| quality.mean(sum).unwrap_or_default());
            writeln!(out, "{window},{},{ndcg:.6},{recall:.6},{hits:.6}", quality.lists)?;
        }
        Ok(())
    }
}

/// Shows the quality of a stream of ranked lists by window while the job runs: hand a clone to the job, and read this
/// one from any thread of the process that has worker 0.
#[derive(Clone, Debug, Default)]
pub struct QualityState {
    shown: Arc<Mutex<QualityByWindow>>,
}

impl QualityState {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What has been added up so far.
    pub fn get(&self) -> QualityByWindow {
        self.shown().clone()
    }

    fn shown(&self) -> MutexGuard<'_, QualityByWindow> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds ranked lists up by window, on worker 0: `look` says of which window a record is, and the rank, from 1, of the
/// relevant item in its list, if it is there. Comes out at the end of the stream, and in `state` on the way.
///
/// # Examples
/// Windows of three lists:
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::ranking::{QualityState, quality_by_window};
///
/// let state = QualityState::new();
/// let shown = state.clone();
/// let found = execute(RuntimeConfig::threads(2), move |env| {
///     let ranks = env.from_iter([(0i64, Some(1)), (1, None), (2, Some(3)), (3, None)]);
///     let quality = quality_by_window(ranks, |(list, rank)| (list / 3, *rank), &shown);
///     Ok(quality.collect())
/// })?;
/// let ndcg: Vec<_> = found[0][0].windows().map(|(window, quality)| (window, quality.ndcg().unwrap())).collect();
/// assert_eq!(ndcg, [(0, 0.5), (1, 0.0)]);
/// assert_eq!(state.get(), found[0][0]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[track_caller]
pub fn quality_by_window<'s, D: Record, T: Clock>(
    lists: DataStream<'s, D, T>,
    look: impl Fn(&D) -> (i64, Option<usize>) + 'static,
    state: &QualityState,
) -> DataStream<'s, QualityByWindow, T> {
    let ranks = lists.map(move |record| look(&record));
    ranks
        .set_parallelism(1)
        .process_function(Adder { sums: QualityByWindow::default(), state: state.clone() })
}

struct Adder {
    sums: QualityByWindow,
    /// Where they are shown.
    state: QualityState,
}

impl ProcessFunction<(i64, Option<usize>)> for Adder {
    type Out = QualityByWindow;

    fn process(
        &mut self,
        (window, rank): (i64, Option<usize>),
        _out: &mut Collector<QualityByWindow>,
    ) -> Result<()> {
        let sums = self.sums.window(window);
        sums.add_rank(rank);
        *self.state.shown().window(window) = *sums;
        Ok(())
    }

    fn end_of_input(&mut self, out: &mut Collector<QualityByWindow>) -> Result<()> {
        out.emit(self.sums.clone());
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        state.put(&self.sums)
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some(sums) = state.next_item::<QualityByWindow>()? {
            sums.windows().for_each(|(window, sums)| self.sums.window(window).merge(sums));
        }
        self.state.shown().clone_from(&self.sums);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The constants of Flink Parameter Server's sink.
    #[test]
    fn ndcg_of_one_relevant_item_has_its_known_values() {
        for (rank, expected) in [
            (1, 1.0),
            (2, 0.630_930),
            (3, 0.5),
            (5, 0.386_853),
            (10, 0.289_065),
            (50, 0.176_291),
            (75, 0.160_053),
            (100, 0.150_190),
        ] {
            let mut quality = RankingQuality::default();
            quality.add_rank(Some(rank));
            assert!((quality.ndcg().unwrap() - expected).abs() < 1e-6, "{rank}");
        }
    }

    #[test]
    fn list_with_all_relevant_items_first_is_perfect_and_others_are_not() {
        let of = |list: &[u64], relevant: &[u64], k| {
            let mut quality = RankingQuality::default();
            quality.add_list(list, relevant, k);
            (quality.ndcg(), quality.recall(), quality.hit_rate())
        };
        assert_eq!(of(&[4, 2, 9], &[2, 4], 3), (Some(1.0), Some(1.0), Some(1.0)));
        assert_eq!(of(&[4, 2, 9], &[1, 2, 3, 4], 2), (Some(1.0), Some(0.5), Some(1.0)));
        assert_eq!(of(&[4, 2, 9], &[9], 2), (Some(0.0), Some(0.0), Some(0.0)));
        assert_eq!(of(&[4], &[], 2), (None, None, None));
        let (ndcg, ..) = of(&[1, 2, 3], &[2, 3], 3);
        assert!((ndcg.unwrap() - (0.630_930 + 0.5) / 1.630_930).abs() < 1e-5);
    }

    #[test]
    fn no_lists_have_no_mean() {
        let mut all = RankingQuality::default();
        assert_eq!((all.ndcg(), all.recall(), all.hit_rate()), (None, None, None));
        let mut csv = Vec::new();
        QualityByWindow::default().write_csv(&mut csv).unwrap();
        assert_eq!(csv, b"window,lists,ndcg,recall,hit_rate\n");
        let mut other = RankingQuality::default();
        other.add_rank(Some(3));
        all.merge(&other);
        assert_eq!(all, other);
    }
}
