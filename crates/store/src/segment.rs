//! Segments: how crossings of one DPU and day are packed, in key order, most in five bytes each.
//!
//! First stand the instant of its first crossing and the totals after that; then, for each crossing, what its predecessor
//! does not say: ms since it, its direction, and, where they are not as expected, its boot and sequence number and its
//! append time. Totals of the other crossings follow from their directions.
//! What it looks like belongs to the store's format number ([`crate::FORMAT`]).

use occupancy::crossing::{Direction, Key};
use occupancy::ledger::{Row, Totals};
use occupancy::time::{Day, UnixMs};

use crate::StoreError;
use crate::codec::{Reader, corrupt, instant, put_i64, put_u64};

/// The crossings of a segment at most: what a search within one, or a merge of a late crossing, has to read.
pub(crate) const MOST_ROWS: usize = 128;

const NEW_APPEND: u64 = 1;
const NEW_NUMBER: u64 = 2;
const PLUS: u64 = 4;
const FLAG_BITS: u32 = 3;

/// Packs rows that [`split`] keeps together; nothing for none.
pub(crate) fn encode(rows: &[Row]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + 6 * rows.len());
    put(&mut out, rows);
    out
}

/// Appends what [`encode`] gives.
fn put(out: &mut Vec<u8>, rows: &[Row]) {
    let Some(first) = rows.first() else { return };
    put_i64(out, first.key.at.ms());
    put_u64(out, first.totals.entered);
    put_u64(out, first.totals.exited);
    put_rows(out, Expected::first(first.key.at), rows);
}

/// How a segment ends: what must be known to add to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// How many rows it holds.
    pub(crate) rows: usize,
    /// The last.
    pub(crate) last: Row,
}

/// Adds rows to a segment that ends so, without unpacking it, if they follow and it then has at most `most`; whether they
/// were added.
pub(crate) fn extend(segment: &mut Vec<u8>, end: Option<End>, rows: &[Row], most: usize) -> bool {
    let last = end.map(|end| end.last);
    let joined = last.iter().zip(rows).chain(rows.iter().zip(rows.iter().skip(1)));
    if end.map_or(0, |end| end.rows) + rows.len() > most || !joined.into_iter().all(|(one, next)| follows(one, next)) {
        return false;
    }
    match last {
        None => put(segment, rows),
        Some(last) => put_rows(segment, Expected::after(&last), rows),
    }
    true
}

fn put_rows(out: &mut Vec<u8>, mut expected: Expected, rows: &[Row]) {
    for row in rows {
        let flag = |bit: u64, there: bool| if there { bit } else { 0 };
        let new_number = (row.key.boot, row.key.seq) != (expected.boot, expected.seq);
        let new_append = row.appended_at != expected.appended_at;
        let since_ms = row.key.at.since(expected.at).cast_unsigned();
        let flags = flag(NEW_APPEND, new_append) | flag(NEW_NUMBER, new_number) | flag(PLUS, row.key.direction == Direction::Plus);
        put_u64(out, since_ms << FLAG_BITS | flags);
        if new_number {
            put_u64(out, row.key.boot);
            put_u64(out, row.key.seq);
        }
        if new_append {
            put_i64(out, row.appended_at.since(row.key.at) - expected.lag_ms);
        }
        expected = Expected::after(row);
    }
}

/// How a segment ends; `None` for one without rows.
pub(crate) fn end(bytes: &[u8]) -> Result<Option<End>, StoreError> {
    let (mut walk, mut rows) = (Walk::at(bytes), 0);
    while walk.step()? {
        rows += 1;
    }
    if rows > 0 { Ok(Some(End { rows, last: walk.row()? })) } else { Ok(None) }
}

/// A DPU that numbers its crossings goes on by one; one that does not says 0.
fn next_seq(seq: u64) -> u64 {
    if seq == 0 { 0 } else { seq.wrapping_add(1) }
}

/// Whether a row may stand after another in a segment.
fn follows(one: &Row, next: &Row) -> bool {
    one.key.at.day() == next.key.at.day() && one.totals.with(next.key.direction) == next.totals
}

/// Reads the rows of a segment.
pub(crate) fn decode(bytes: &[u8]) -> Rows<'_> {
    Rows(Walk::at(bytes))
}

/// Where rows must be cut: at a new day, where totals do not follow from the one before, and at the longest length.
pub(crate) fn split(mut rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    std::iter::from_fn(move || {
        let pairs = rows.iter().zip(rows.iter().skip(1));
        let n = pairs.take(MOST_ROWS - 1).take_while(|(one, next)| follows(one, next)).count() + 1;
        let (one, rest) = rows.split_at_checked(n)?;
        rows = rest;
        Some(one)
    })
}

/// What a row would be if it said nothing of its own.
struct Expected {
    at: UnixMs,
    boot: u64,
    seq: u64,
    appended_at: UnixMs,
    /// From a crossing to its append, in ms.
    lag_ms: i64,
}

impl Expected {
    fn first(at: UnixMs) -> Self {
        Self { at, boot: 0, seq: 0, appended_at: at, lag_ms: 0 }
    }

    fn after(row: &Row) -> Self {
        let Row { key, totals: _, appended_at } = *row;
        Self { at: key.at, boot: key.boot, seq: next_seq(key.seq), appended_at, lag_ms: appended_at.since(key.at) }
    }
}

fn direction(lead: u64) -> Direction {
    if lead & PLUS == 0 { Direction::Minus } else { Direction::Plus }
}

/// The totals after a row, from those before it; the first of a segment brings its own.
#[inline]
fn next_totals(before: Option<Totals>, first: Totals, direction: Direction) -> Result<Totals, StoreError> {
    match before {
        None => Ok(first),
        Some(before) if before.entered < u64::MAX && before.exited < u64::MAX => Ok(before.with(direction)),
        Some(_) => Err(corrupt("totals have more than 64 bits")),
    }
}

/// A walk through a segment, row by row: where it stands, in numbers that only a row that is asked for is made of.
struct Walk<'a> {
    reader: Reader<'a>,
    at_ms: i64,
    appended_ms: i64,
    boot: u64,
    seq: u64,
    direction: Direction,
    /// After the row it stands at; `None` before the first.
    totals: Option<Totals>,
}

impl<'a> Walk<'a> {
    /// Before the first row.
    fn at(bytes: &'a [u8]) -> Self {
        Self { reader: Reader(bytes), at_ms: 0, appended_ms: 0, boot: 0, seq: 0, direction: Direction::Minus, totals: None }
    }

    /// Goes on to the next row, if there is one.
    #[inline]
    fn step(&mut self) -> Result<bool, StoreError> {
        if self.reader.0.is_empty() {
            return Ok(false);
        }
        let beyond = || corrupt("an instant has more than 64 bits");
        let mut first = Totals::default();
        if self.totals.is_none() {
            self.at_ms = instant(Some(self.reader.i64()?))?.ms();
            self.appended_ms = self.at_ms;
            first = Totals { entered: self.reader.u64()?, exited: self.reader.u64()? };
        }
        let lead = self.reader.u64()?;
        let lag_ms = self.appended_ms.checked_sub(self.at_ms).ok_or_else(beyond)?;
        self.at_ms = self.at_ms.checked_add((lead >> FLAG_BITS).cast_signed()).ok_or_else(beyond)?;
        match lead & NEW_NUMBER {
            0 => self.seq = next_seq(self.seq),
            _ => (self.boot, self.seq) = (self.reader.u64()?, self.reader.u64()?),
        }
        if lead & NEW_APPEND != 0 {
            let lag_ms = self.reader.i64()?.checked_add(lag_ms);
            self.appended_ms = lag_ms.and_then(|lag_ms| self.at_ms.checked_add(lag_ms)).ok_or_else(beyond)?;
        }
        self.direction = direction(lead);
        self.totals = Some(next_totals(self.totals, first, self.direction)?);
        Ok(true)
    }

    /// The row it stands at.
    #[inline]
    fn row(&self) -> Result<Row, StoreError> {
        let Self { boot, seq, direction, .. } = *self;
        let key = Key { at: instant(Some(self.at_ms))?, boot, seq, direction };
        Ok(Row { key, totals: self.totals.unwrap_or_default(), appended_at: instant(Some(self.appended_ms))? })
    }
}

/// The rows of a segment, unpacked one by one.
pub(crate) struct Rows<'a>(Walk<'a>);

impl Iterator for Rows<'_> {
    type Item = Result<Row, StoreError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let row = self.0.step().and_then(|there| if there { self.0.row().map(Some) } else { Ok(None) });
        if row.is_err() {
            self.0.reader = Reader(&[]);
        }
        row.transpose()
    }
}

/// The instants and directions of a segment, read one by one without what each row is besides.
pub(crate) struct Glance<'a> {
    reader: Reader<'a>,
    /// Of the row read last; before that of the first.
    pub(crate) at_ms: i64,
    /// The totals after the first row.
    pub(crate) first: Totals,
}

impl<'a> Glance<'a> {
    /// At the rows of a segment that has some.
    pub(crate) fn at(bytes: &'a [u8]) -> Result<Self, StoreError> {
        let mut reader = Reader(bytes);
        let at_ms = reader.i64()?;
        let first = Totals { entered: reader.u64()?, exited: reader.u64()? };
        Ok(Self { reader, at_ms, first })
    }

    /// The direction of the next row; its instant is in place.
    #[inline]
    pub(crate) fn step(&mut self) -> Result<Option<Direction>, StoreError> {
        if self.reader.0.is_empty() {
            return Ok(None);
        }
        let lead = self.reader.u64()?;
        let at_ms = self.at_ms.checked_add((lead >> FLAG_BITS).cast_signed());
        self.at_ms = at_ms.ok_or_else(|| corrupt("an instant has more than 64 bits"))?;
        if lead & NEW_NUMBER != 0 {
            self.reader.skip_number()?;
            self.reader.skip_number()?;
        }
        if lead & NEW_APPEND != 0 {
            self.reader.skip_number()?;
        }
        Ok(Some(direction(lead)))
    }
}

/// The totals after the last row before an instant, if there is one.
pub(crate) fn totals_before(bytes: &[u8], before: UnixMs) -> Result<Option<Totals>, StoreError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut glance = Glance::at(bytes)?;
    let mut totals = None;
    while let Some(direction) = glance.step()? {
        if glance.at_ms >= before.ms() {
            break;
        }
        totals = Some(next_totals(totals, glance.first, direction)?);
    }
    Ok(totals)
}

/// The last of some rows, in key order, whose key is still `within`.
pub(crate) fn last_within(
    rows: impl Iterator<Item = Result<Row, StoreError>>,
    within: impl Fn(&Key) -> bool,
) -> Result<Option<Row>, StoreError> {
    let mut last = None;
    for row in rows {
        let row = row?;
        if !within(&row.key) {
            break;
        }
        last = Some(row);
    }
    Ok(last)
}

/// The day all rows of a segment have.
pub(crate) fn day_of(rows: &[Row]) -> Option<Day> {
    rows.first().map(|row| row.key.at.day())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use occupancy::time::DAY_MS;
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};

    /// Rows in key order, over three days; their totals mostly follow.
    pub(crate) fn rows() -> impl Strategy<Value = Vec<Row>> {
        let number = || prop_oneof![0_u64..3, any::<u64>()];
        let row = (0_i64..3 * DAY_MS, (number(), number()), any::<bool>(), 0_i64..4_000, 0_u8..40);
        proptest::collection::vec(row, 0..600).prop_map(|drawn| {
            let mut keys: Vec<_> = drawn
                .into_iter()
                .map(|(at, (boot, seq), plus, lag, odd)| {
                    let direction = if plus { Direction::Plus } else { Direction::Minus };
                    (Key { at: UnixMs::new(at).unwrap(), boot, seq, direction }, lag, odd)
                })
                .collect();
            keys.sort();
            keys.dedup_by_key(|(key, ..)| *key);
            let mut totals = Totals::default();
            let row = |(key, lag, odd): (Key, i64, u8)| {
                totals = if odd == 0 { Totals { entered: 9, exited: 0 } } else { totals.with(key.direction) };
                Row { key, totals, appended_at: key.at.plus_ms(lag - 1_000) }
            };
            keys.into_iter().map(row).collect()
        })
    }

    proptest! {
        #[test]
        fn rows_come_back(rows in rows()) {
            let mut back = Vec::new();
            for one in split(&rows) {
                assert!(one.len() <= MOST_ROWS && one.iter().all(|row| Some(row.key.at.day()) == day_of(one)));
                assert_eq!(end(&encode(one)), Ok(one.last().map(|last| End { rows: one.len(), last: *last })));
                back.extend(decode(&encode(one)).map(Result::unwrap));
            }
            assert_eq!(back, rows);
        }

        #[test]
        fn rows_that_follow_are_added(rows in rows(), at in 0_usize..20, more in 0_usize..20, most in 0_usize..40) {
            let Some(one) = split(&rows).max_by_key(|one| one.len()) else { return Ok(()) };
            let (before, after) = one.split_at(at.min(one.len()));
            let after = &after[..more.min(after.len())];
            let mut segment = encode(before);
            let whole = encode(&[before, after].concat());
            let fits = before.len() + after.len() <= most;
            let stored = end(&segment).unwrap();
            assert_eq!(extend(&mut segment, stored, after, most), fits);
            assert_eq!(segment, if fits { whole } else { encode(before) });
            let stranger = rows.iter().find(|row| before.last().is_some_and(|last| !follows(last, row)));
            if let Some(stranger) = stranger {
                assert!(!extend(&mut segment, stored, &[after, &[*stranger]].concat(), 0));
            }
        }

        #[test]
        fn totals_are_those_of_the_last_row_before(rows in rows(), at in 0_usize..600, after_ms in -1_i64..2) {
            let before = rows.get(at).map_or(UnixMs::MAX, |row| row.key.at.plus_ms(after_ms));
            for one in split(&rows) {
                let last = one.iter().take_while(|row| row.key.at < before).last();
                assert_eq!(totals_before(&encode(one), before), Ok(last.map(|row| row.totals)));
            }
        }

        #[test]
        fn any_bytes_are_rows_or_refused(bytes in any::<Vec<u8>>(), before in any::<i32>()) {
            let rows: Vec<_> = decode(&bytes).collect();
            assert!(rows.len() <= bytes.len() && rows.iter().rev().skip(1).all(Result::is_ok));
            // No panic; an instant or a number that is not looked at may be wrong.
            let before = UnixMs::new(before.into()).unwrap();
            if let (Ok(rows), Ok(totals)) = (rows.into_iter().collect::<Result<Vec<_>, _>>(), totals_before(&bytes, before)) {
                let last = rows.iter().take_while(|row| row.key.at < before).last();
                assert_eq!(totals, last.map(|row| row.totals));
                assert_eq!(end(&bytes), Ok(rows.last().map(|last| End { rows: rows.len(), last: *last })));
            }
        }
    }

    #[test]
    fn a_crossing_a_minute_takes_five_bytes_and_more_at_once_take_less() {
        let row = |n: i64, lag: i64| Row {
            key: Key {
                at: UnixMs::new(n * 60_000 + n % 7 * 1_000).unwrap(),
                boot: 7,
                seq: 1 + n.unsigned_abs(),
                direction: Direction::Plus,
            },
            totals: Totals { entered: 1 + n.unsigned_abs(), exited: 0 },
            appended_at: UnixMs::new(n * 60_000 + lag).unwrap(),
        };
        let alone: Vec<Row> = (0..200).map(|n| row(n, n % 3 * 50)).collect();
        let together: Vec<Row> = (0..200).map(|n| Row { appended_at: UnixMs::MAX, ..row(n, 0) }).collect();
        assert!((800..=1_010).contains(&encode(&alone).len()), "{}", encode(&alone).len());
        assert!((500..=620).contains(&encode(&together).len()), "{}", encode(&together).len());
    }
}
