//! Which entries of a table have been lent since a copy of it was taken.

/// Places in a page.
const PAGE: usize = 64;

/// A byte per page of 64 places: whether an entry there has been lent. None while nobody wants to know.
#[derive(Default)]
pub(super) struct Touched(Vec<u8>);

impl Touched {
    /// Whether anybody wants to know.
    #[inline(always)]
    pub(super) fn is_on(&self) -> bool {
        !self.0.is_empty()
    }

    /// Notes that the entry at a place is lent.
    #[inline(always)]
    pub(super) fn note(&mut self, place: usize) {
        if let Some(page) = self.0.get_mut(place / PAGE) {
            *page = 1;
        }
    }

    /// Notes that all entries may be others now, at `n` places.
    pub(super) fn note_all(&mut self, n: usize) {
        if self.is_on() {
            *self = Touched(vec![1; pages(n)]);
        }
    }

    /// Begins anew: nothing of `n` places has been lent.
    pub(super) fn begin(&mut self, n: usize) {
        *self = Touched(vec![0; pages(n)]);
    }

    /// A bit per place: set where no entry of its page has been lent.
    pub(super) fn untouched(&self) -> Box<[u64]> {
        self.0.iter().map(|page| if *page == 0 { u64::MAX } else { 0 }).collect()
    }
}

/// Also of no places there is a page, so that it is seen that somebody wants to know.
fn pages(places: usize) -> usize {
    places.div_ceil(PAGE).max(1)
}
