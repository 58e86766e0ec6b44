//! A growing array whose elements never move.

/// Elements per page: small enough that the last page wastes little, large enough that the page
/// table stays in cache.
const PAGE: usize = 256;

/// An array of `T` that grows by whole pages, so that growth neither copies what is there nor
/// stalls the worker, and never holds more than a page in reserve.
pub(crate) struct Pages<T> {
    pages: Vec<Box<[T]>>,
}

impl<T: Default> Pages<T> {
    pub(crate) fn new() -> Pages<T> {
        Pages { pages: Vec::new() }
    }

    /// Makes sure `index` exists.
    pub(crate) fn reach(&mut self, index: u32) {
        while self.len() <= index as usize {
            self.pages.push((0..PAGE).map(|_| T::default()).collect());
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.pages.len() * PAGE
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.pages.get(index as usize / PAGE)?.get(index as usize % PAGE)
    }
}

impl<T> std::ops::Index<u32> for Pages<T> {
    type Output = T;

    fn index(&self, index: u32) -> &T {
        &self.pages[index as usize / PAGE][index as usize % PAGE]
    }
}

impl<T> std::ops::IndexMut<u32> for Pages<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.pages[index as usize / PAGE][index as usize % PAGE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_keep_their_place_while_it_grows() {
        let mut pages: Pages<u32> = Pages::new();
        for index in 0..1000 {
            pages.reach(index);
            pages[index] = index + 7;
        }
        let first = &raw const pages[0];
        pages.reach(100_000);
        assert_eq!(first, &raw const pages[0]);
        assert!((0..1000).all(|index| pages[index] == index + 7));
        assert!(pages.get(200_000).is_none());
    }
}
