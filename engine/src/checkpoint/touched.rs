//! Which entries of a table have been lent since a copy of it was taken.

/// Places in a page.
const PAGE: usize = 64;

/// For state that checkpoints hold the changes of: which of its places have been lent since this was begun, by pages of 64; all,
/// once most of them have been. Off until then.
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
pub struct Touched {
    /// Of each page, whether an entry there has been lent; none once that is so of most: then all may have been.
    pages: Vec<bool>,
    n_pages: u32,
    /// Pages that may still be lent from before that is so.
    left: u32,
}

impl Touched {
    /// Whether anybody wants to know.
    #[inline(always)]
    pub fn is_on(&self) -> bool {
        self.n_pages > 0
    }

    /// Notes that the entry at a place is lent.
    #[inline(always)]
    pub fn note(&mut self, place: usize) {
        if let Some(page) = self.pages.get_mut(place / PAGE)
            && !std::mem::replace(page, true)
        {
            self.note_first_of_page();
        }
    }

    /// Where most has changed all will be written, and what is in use all the time is not to be noted all the time.
    #[inline]
    fn note_first_of_page(&mut self) {
        self.left -= 1;
        if self.left == 0 {
            self.pages = Vec::new();
        }
    }

    /// Notes that all entries may be others now, at `n` places.
    pub fn note_all(&mut self, n: usize) {
        if self.is_on() {
            *self = Touched { pages: Vec::new(), n_pages: pages(n), left: 0 };
        }
    }

    /// Begins anew: nothing of `n` places has been lent. Of places behind these, nothing is known.
    pub fn begin(&mut self, n: usize) {
        let n_pages = pages(n);
        *self = Touched { pages: vec![false; n_pages as usize], n_pages, left: n_pages / 2 + 1 };
    }

    /// A bit per place: set where no entry of its page has been lent.
    pub fn untouched(&self) -> Box<[u64]> {
        if self.pages.is_empty() {
            return vec![0; self.n_pages as usize].into_boxed_slice();
        }
        self.pages.iter().map(|is_touched| if *is_touched { 0 } else { u64::MAX }).collect()
    }

    /// Whether these pages are mostly [untouched](Self::untouched), so that the others alone are worth to be written: where
    /// most has changed, to write the rest too is less than to read twice what has.
    pub fn are_few_of<'a>(pages: impl Iterator<Item = &'a u64> + Clone) -> bool {
        2 * pages.clone().filter(|page| **page == u64::MAX).count() >= pages.count()
    }
}

/// Also of no places there is a page, so that it is seen that somebody wants to know.
fn pages(places: usize) -> u32 {
    places.div_ceil(PAGE).max(1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_counts_as_touched_once_most_pages_are() {
        let mut touched = Touched::default();
        touched.note(3);
        assert!(!touched.is_on());
        touched.begin(4 * PAGE + 1);
        touched.note(5 * PAGE);
        for place in [0, 1, PAGE, PAGE + 1] {
            touched.note(place);
        }
        assert_eq!(*touched.untouched(), [0, 0, u64::MAX, u64::MAX, u64::MAX]);
        assert!(Touched::are_few_of(touched.untouched().iter()));
        touched.note(4 * PAGE);
        assert_eq!(*touched.untouched(), [0; 5]);
        touched.note(7);
        touched.begin(0);
        assert_eq!(*touched.untouched(), [u64::MAX]);
        touched.note_all(2 * PAGE);
        assert_eq!(*touched.untouched(), [0; 2]);
    }
}
