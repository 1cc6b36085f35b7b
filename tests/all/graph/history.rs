//! Random histories of graphs: batches of insertions and deletions.

use super::naive::Edge;

/// One batch: edges that come (+1) and go (-1).
pub(crate) type Batch = Vec<(Edge, i64)>;

/// Random numbers that are the same in every process.
pub(crate) struct Draws(pub(crate) u64);

impl Draws {
    /// A number below `n`: splitmix64.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
}

/// `batches` batches on up to `nodes` nodes: a first one of about as many edges as nodes, then small ones. The same edge
/// may come several times, and may come and go in one batch; only edges that are there go.
pub(crate) fn random(seed: u64, nodes: u64, batches: usize) -> Vec<Batch> {
    let mut draws = Draws(seed);
    let mut there: Vec<Edge> = Vec::new();
    let mut batch_of = |index: usize| {
        let changes = if index == 0 { nodes } else { draws.below(5) };
        let mut batch = Batch::new();
        for _ in 0..changes {
            if !there.is_empty() && index > 0 && draws.below(2) == 0 {
                let gone = there.swap_remove(draws.below(there.len() as u64) as usize);
                batch.push((gone, -1));
            } else {
                let edge = (draws.below(nodes) as u32, draws.below(nodes) as u32);
                there.push(edge);
                batch.push((edge, 1));
            }
        }
        batch
    };
    (0..batches).map(&mut batch_of).collect()
}

/// The edges, each as often as it occurs, as of each batch.
pub(crate) fn as_of_each(history: &[Batch]) -> Vec<Vec<Edge>> {
    let mut now: Vec<Edge> = Vec::new();
    let mut after = |batch: &Batch| {
        now.extend(batch.iter().filter(|(_, diff)| *diff > 0).map(|(edge, _)| *edge));
        for (gone, _) in batch.iter().filter(|(_, diff)| *diff < 0) {
            let at = now.iter().position(|edge| edge == gone).expect("only edges that are there go");
            now.swap_remove(at);
        }
        now.clone()
    };
    history.iter().map(&mut after).collect()
}

/// A length for each edge, 0 to 9.
pub(crate) fn length((a, b): Edge) -> u64 {
    u64::from(a * 7 + b * 13) % 10
}
