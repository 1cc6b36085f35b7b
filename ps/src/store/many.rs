//! Many rows at a time: all are found before the first is used, so that the processor waits for memory once.

use waterwheel_engine::{Key, Result};

use crate::dense::dense_index;
use crate::element::Element;
use crate::prefetch;
use crate::store::{Places, RowStore, not_here, not_there};

/// Rows that are found before they are used: few enough to stay in the first cache.
const AT_ONCE: usize = 64;

impl<K: Key, E: Element> RowStore<K, E> {
    /// Calls `visit` with each of `keys`, its row and its slots, in order; `init` appends the elements of rows that must
    /// be made. Only where rows are not evicted.
    ///
    /// # Errors
    /// A key is not here, a row that is made has a wrong width, or `visit` fails; the rows before were visited.
    #[inline]
    pub(crate) fn each_row<'a>(
        &mut self,
        keys: &'a [K],
        init: impl Fn(&K, &mut Vec<E>),
        mut visit: impl FnMut(&'a K, &mut [E], &mut [E]) -> Result<()>,
    ) -> Result<()> {
        let mut places = [0; AT_ONCE];
        for keys in keys.chunks(AT_ONCE) {
            let places = &mut places[..keys.len()];
            self.find_or_make(keys, places, &init)?;
            if self.aside.is_some() {
                places.iter().filter_map(|place| self.rows.get(*place)).for_each(prefetch::read);
                keys.iter().zip(&*places).for_each(|(key, place)| self.write_before_use(key, *place));
            }
            places.iter().for_each(|place| self.touched.note(*place));
            let placed = keys.iter().zip(&*places);
            if self.width == 1 && self.slots.is_empty() {
                // Of a row whose width the compiler knows nothing is left but its element.
                for (key, place) in placed {
                    let row = self.rows.get_mut(*place).and_then(<[E]>::first_chunk_mut::<1>);
                    visit(key, row.ok_or_else(not_there)?, &mut [])?;
                }
                continue;
            }
            places.iter().filter_map(|place| self.rows.get(*place)).for_each(prefetch::read);
            for (key, place) in placed {
                let row = self.rows.get_mut(*place).ok_or_else(not_there)?;
                let (row, slots) = row.split_at_mut(self.width);
                visit(key, row, slots)?;
            }
        }
        Ok(())
    }

    /// Writes down where the rows of `keys` are.
    fn find_or_make(
        &mut self,
        keys: &[K],
        places: &mut [usize],
        init: impl Fn(&K, &mut Vec<E>),
    ) -> Result<()> {
        let placed = keys.iter().zip(places);
        if let Places::Dense { part, made, .. } = &self.places
            && *made as u64 == part.len
        {
            for (key, place) in placed {
                let found = dense_index(key).and_then(|key| part.place(key));
                *place = found.ok_or_else(|| not_here(key))? as usize;
            }
            return Ok(());
        }
        for (key, place) in placed {
            *place = match self.find(key)? {
                Some(place) => place,
                None => self.make(key, |row| init(key, row))?,
            };
        }
        Ok(())
    }
}
