//! Which entries of a table have been lent since a copy of it was taken.

/// Places in a page.
const PAGE: usize = 64;

/// For state that checkpoints hold the changes of: which of its places have been lent since this was begun, by pages of 64. Off
/// until then.
///
/// # Examples
/// ```
/// # use waterwheel_engine::checkpoint::Touched;
/// let mut touched = Touched::default();
/// touched.begin(256);
/// touched.note(70);
/// assert_eq!(*touched.untouched(), [u64::MAX, 0, u64::MAX, u64::MAX]);
/// ```
#[derive(Debug, Default)]
pub struct Touched(Vec<u8>);

impl Touched {
    /// Whether anybody wants to know.
    #[inline(always)]
    pub fn is_on(&self) -> bool {
        !self.0.is_empty()
    }

    /// Notes that the entry at a place is lent.
    #[inline(always)]
    pub fn note(&mut self, place: usize) {
        if let Some(page) = self.0.get_mut(place / PAGE) {
            *page = 1;
        }
    }

    /// Notes that all entries may be others now, at `n` places.
    pub fn note_all(&mut self, n: usize) {
        if self.is_on() {
            *self = Touched(vec![1; pages(n)]);
        }
    }

    /// Begins anew: nothing of `n` places has been lent. Of places behind these, nothing is known.
    pub fn begin(&mut self, n: usize) {
        *self = Touched(vec![0; pages(n)]);
    }

    /// A bit per place: set where no entry of its page has been lent.
    pub fn untouched(&self) -> Box<[u64]> {
        self.0.iter().map(|page| if *page == 0 { u64::MAX } else { 0 }).collect()
    }

    /// Whether these pages are mostly [untouched](Self::untouched), so that the others alone are worth to be written: where
    /// most has changed, to write the rest too is less than to read twice what has.
    pub fn are_few_of<'a>(pages: impl Iterator<Item = &'a u64> + Clone) -> bool {
        2 * pages.clone().filter(|page| **page == u64::MAX).count() >= pages.count()
    }
}

/// Also of no places there is a page, so that it is seen that somebody wants to know.
fn pages(places: usize) -> usize {
    places.div_ceil(PAGE).max(1)
}
