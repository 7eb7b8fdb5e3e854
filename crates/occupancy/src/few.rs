//! A list of what nearly always is one.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// For how many room is made before they are counted.
const MOST_AHEAD: usize = 10_000;

/// A list. One alone stands in place and takes no memory of its own.
#[derive(Clone)]
pub enum Few<T> {
    /// One.
    One([T; 1]),
    /// Any number.
    Many(Vec<T>),
}

impl<T> Few<T> {
    /// All of some that most likely are no more than `most`, for which room is made at once.
    pub fn up_to(most: usize, items: impl IntoIterator<Item = T>) -> Self {
        let mut items = items.into_iter();
        match (items.next(), items.next()) {
            (None, _) => Self::default(),
            (Some(one), None) => Self::One([one]),
            (Some(one), Some(other)) => {
                let mut many = Vec::with_capacity(most.max(2));
                many.extend([one, other]);
                many.extend(items);
                Self::Many(many)
            }
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let items = items.into_iter();
        Self::up_to(items.size_hint().1.unwrap_or_default().min(MOST_AHEAD), items)
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(items: Vec<T>) -> Self {
        match <[T; 1]>::try_from(items) {
            Ok(one) => Self::One(one),
            Err(many) => Self::Many(many),
        }
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut Few<T> {
    type Item = &'a mut T;
    type IntoIter = std::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<T: PartialEq> PartialEq for Few<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Few<T> {}

impl<T: fmt::Debug> fmt::Debug for Few<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_the_same_however_it_was_gathered() {
        for count in 0..4 {
            let items: Vec<usize> = (0..count).collect();
            let gathered: Few<usize> = items.iter().copied().collect();
            assert_eq!((&*gathered, &gathered), (items.as_slice(), &Few::from(items.clone())));
            for most in count..4 {
                assert_eq!(Few::up_to(most, items.iter().copied()), gathered);
            }
            assert_ne!(gathered, items.iter().copied().chain([7]).collect::<Few<_>>());
        }
    }
}
