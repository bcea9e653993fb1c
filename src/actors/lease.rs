//! What outlives a child: a home that the parent keeps, and a lease the child holds.
//!
//! A child takes the lease when it starts. However it ends, the lease's drop
//! brings the value home, and the next generation takes it from there. A home
//! whose value was replaced in the meantime does not take the old one back.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// Where a value lives while no child holds it. Kept by the parent.
pub struct Home<T>(Rc<RefCell<Slot<T>>>);

struct Slot<T> {
    /// Counts the replacements; a lease of an earlier term is void.
    term: u64,
    value: Option<T>,
}

/// The value in the hands of one child.
pub struct Lease<T> {
    value: Option<T>,
    term: u64,
    home: Rc<RefCell<Slot<T>>>,
}

impl<T> Clone for Home<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Home<T> {
    /// A home for `value`.
    pub fn new(value: T) -> Self {
        Self(Rc::new(RefCell::new(Slot { term: 0, value: Some(value) })))
    }

    /// Hands the value out. `None` while somebody else holds it.
    pub fn lend(&self) -> Option<Lease<T>> {
        let mut slot = self.0.borrow_mut();
        let value = slot.value.take()?;
        Some(Lease { value: Some(value), term: slot.term, home: Rc::clone(&self.0) })
    }

    /// Puts another value in; the one that is lent out will not come back.
    pub fn replace(&self, value: T) {
        let mut slot = self.0.borrow_mut();
        slot.term += 1;
        slot.value = Some(value);
    }
}

impl<T> Deref for Lease<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value.as_ref().expect("a lease holds its value until it is dropped")
    }
}

impl<T> DerefMut for Lease<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("a lease holds its value until it is dropped")
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        let mut slot = self.home.borrow_mut();
        if slot.term == self.term {
            slot.value = self.value.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_home_even_from_a_panic() {
        let home = Home::new(vec![1]);
        let mut lease = home.lend().expect("it is at home");
        assert!(home.lend().is_none(), "only one child holds it");
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            lease.push(2);
            panic!("planted");
        }));
        assert!(outcome.is_err());
        assert_eq!(*home.lend().expect("it came home"), [1, 2]);
    }

    #[test]
    fn a_replaced_value_does_not_come_back() {
        let home = Home::new("old");
        let old = home.lend().expect("it is at home");
        home.replace("new");
        drop(old);
        assert_eq!(*home.lend().expect("the new one is at home"), "new");
    }
}
