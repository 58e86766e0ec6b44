//! A stack that is on the heap only when it is high.

use std::mem::MaybeUninit;

/// Grows and shrinks at its end. The first `N` items need no heap.
///
/// `SmallVec` does the same; its `push` is not inlined here, and handing it an item through memory
/// took a fifth of the time of reading a stanza.
pub(crate) struct Stack<T, const N: usize> {
    /// The first `inline_length` are there. The others are never written before they are pushed:
    /// filling them cost as much as reading a tag, for every stanza.
    inline: [MaybeUninit<T>; N],
    /// Items in `inline`; nothing is there once `heap` is in use.
    inline_length: usize,
    heap: Vec<MaybeUninit<T>>,
}

impl<T: Copy, const N: usize> Stack<T, N> {
    /// An empty stack.
    #[inline(always)]
    pub fn new() -> Stack<T, N> {
        Stack { inline: [const { MaybeUninit::uninit() }; N], inline_length: 0, heap: Vec::new() }
    }

    #[inline(always)]
    pub fn push(&mut self, item: T) {
        // The place comes first, so that the item is built in it and not copied to it.
        let place = self.new_place();
        place.write(item);
    }

    /// A place that the caller writes to at once.
    #[inline(always)]
    fn new_place(&mut self) -> &mut MaybeUninit<T> {
        if self.inline_length < N && self.heap.is_empty() {
            self.inline_length += 1;
            return &mut self.inline[self.inline_length - 1];
        }
        self.new_place_on_heap()
    }

    #[cold]
    fn new_place_on_heap(&mut self) -> &mut MaybeUninit<T> {
        if self.heap.is_empty() {
            self.heap.extend_from_slice(&self.inline);
            self.inline_length = 0;
        }
        self.heap.push(MaybeUninit::uninit());
        let last = self.heap.len() - 1;
        &mut self.heap[last]
    }

    #[inline(always)]
    pub fn pop(&mut self) -> Option<T> {
        let last = self.as_slice().last().copied()?;
        match self.heap.is_empty() {
            true => self.inline_length -= 1,
            false => self.heap.truncate(self.heap.len() - 1),
        }
        Some(last)
    }

    #[inline(always)]
    pub fn truncate(&mut self, length: usize) {
        self.inline_length = self.inline_length.min(length);
        self.heap.truncate(length);
    }

    #[inline(always)]
    #[expect(unsafe_code)] // What is there cannot be told apart otherwise.
    pub fn as_slice(&self) -> &[T] {
        let there = match self.heap.is_empty() {
            true => self.inline.get(..self.inline_length).unwrap_or_default(),
            false => &self.heap,
        };
        // SAFETY: the length grows only in `new_place`, whose one caller writes the new place at
        // once, so all of these are written. Items are `Copy`: none is ever moved out.
        unsafe { there.assume_init_ref() }
    }

    #[inline(always)]
    #[expect(unsafe_code)] // As above.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        let there = match self.heap.is_empty() {
            true => self.inline.get_mut(..self.inline_length).unwrap_or_default(),
            false => &mut self.heap,
        };
        // SAFETY: as in `as_slice`.
        unsafe { there.assume_init_mut() }
    }

    #[inline(always)]
    pub fn len(&self) -> usize {
        self.inline_length + self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_behaves_like_a_vector(steps in prop::collection::vec(0..6u8, 0..200)) {
            let mut stack = Stack::<u8, 4>::new();
            let mut model = Vec::new();
            for step in steps {
                match step {
                    0 => assert_eq!(stack.pop(), model.pop()),
                    1 => {
                        let length = model.len() / 2;
                        stack.truncate(length);
                        model.truncate(length);
                    }
                    item => {
                        stack.push(item);
                        model.push(item);
                    }
                }
                prop_assert_eq!(stack.as_slice(), model.as_slice());
                prop_assert_eq!(stack.as_mut_slice(), model.as_mut_slice());
                prop_assert_eq!(stack.len(), model.len());
            }
        }
    }
}
