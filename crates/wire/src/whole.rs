//! Whole numbers of JSON, which may be written `12.0`: to JSON Schema that is an integer too, and some clients write so.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// 2^53: from here on a number with a point may stand for another, and two different ones be read as the same.
const ROUNDED_FROM: f64 = 9_007_199_254_740_992.0;

/// Reads a whole number of 63 bits and a sign.
#[derive(Clone, Copy)]
pub(crate) struct Whole {
    /// What is expected, for errors.
    pub(crate) expected: &'static str,
    /// Whether it may be written with a point.
    pub(crate) point: bool,
}

impl Whole {
    /// One within the range of `T`.
    pub(crate) fn read<'de, D: Deserializer<'de>, T: TryFrom<i64>>(self, deserializer: D) -> Result<T, D::Error> {
        let number = deserializer.deserialize_i64(self)?;
        T::try_from(number).map_err(|_| D::Error::invalid_value(Unexpected::Signed(number), &self))
    }
}

impl Visitor<'_> for Whole {
    type Value = i64;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }
    fn visit_i64<E>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
        if !self.point || number.fract() != 0.0 {
            return Err(E::invalid_type(Unexpected::Float(number), &self));
        }
        if number.abs() >= ROUNDED_FROM {
            return Err(E::custom(format_args!("{number:?} may have been rounded: expected {}, without a point", self.expected)));
        }
        Ok(number as i64)
    }
}

/// A boot or sequence number, up to `Key::MAX_COUNTER`; or whatever else is counted from 0.
///
/// # Errors
/// It is no whole number, or out of range.
pub fn counter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Whole { expected: "a boot or seq from 0 to 9223372036854775807", point: true }.read(deserializer)
}

/// How many people: a count, or what a space is meant for.
///
/// # Errors
/// It is no whole number, or out of range.
pub fn people<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    Whole { expected: "a whole number from 0 to 4294967295", point: true }.read(deserializer)
}

/// The same, or none.
pub(crate) fn optional_people<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    struct People(#[serde(deserialize_with = "people")] u32);
    Ok(Option::<People>::deserialize(deserializer)?.map(|people| people.0))
}
