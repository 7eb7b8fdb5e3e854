//! Names of things: 1 to 64 characters of `A-Z a-z 0-9 . _ : -`, the first alphanumeric, case-sensitive.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

/// The longest id, in characters.
pub const MAX_LEN: usize = 64;

/// The side of a doorway that is no space; no space may take this name.
pub const OUTSIDE: &str = "outside";

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("an id needs at least one character")]
    Empty,
    /// The text is too long.
    #[error("an id has at most {MAX_LEN} characters, this one has {0}")]
    TooLong(usize),
    /// A character is not allowed where it stands.
    #[error(
        "character {found:?} at position {position} is not allowed: an id is made of A-Z a-z 0-9 . _ : - and starts with a letter or digit"
    )]
    BadCharacter {
        /// The offending character.
        found: char,
        /// Its place, from 0, in characters.
        position: usize,
    },
    /// The name `outside` is taken.
    #[error("`outside` is reserved for what lies beyond every space")]
    Reserved,
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    for (position, found) in text.chars().enumerate() {
        let inner = position > 0 && matches!(found, '.' | '_' | ':' | '-');
        if !found.is_ascii_alphanumeric() && !inner {
            return Err(IdError::BadCharacter { found, position });
        }
    }
    if text.len() > MAX_LEN {
        return Err(IdError::TooLong(text.len()));
    }
    if text == OUTSIDE { Err(IdError::Reserved) } else { Ok(()) }
}

/// The longest text that stands in place, in bytes.
const SHORT: usize = 22;

/// The text of an id. Nearly all are short and stand in place: who compares, copies or drops one touches nothing else.
#[derive(Clone, PartialEq, Eq)]
enum Text {
    /// Every text that is short enough; what is left of it is 0.
    Short {
        len: u8,
        bytes: [u8; SHORT],
    },
    Long(Arc<str>),
}

impl Text {
    fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
            (Ok(len), Some(start)) => {
                start.copy_from_slice(text.as_bytes());
                Self::Short { len, bytes }
            }
            _ => Self::Long(text.into()),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(text) => text.as_bytes(),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            // What was made of a text is one.
            Self::Short { .. } => std::str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Self::Long(text) => text,
        }
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Text {
    /// As a text does, as an id is looked up by its text too; without a look whether it is one.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.as_bytes());
        state.write_u8(0xff);
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Text);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text).map(|()| Self(Text::new(text)))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;
            fn try_from(text: &str) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }
    };
}

id!(
    /// Names a DPU, the sensor over a doorway.
    DpuId
);
id!(
    /// Names a space: a room, floor, building or campus.
    SpaceId
);
id!(
    /// Names a doorway between two sides.
    DoorwayId
);
id!(
    /// Names a correction.
    CorrectionId
);

impl CorrectionId {
    /// The `place`-th correction of a request made when there were `revision` edits.
    #[must_use]
    pub fn numbered(revision: u64, place: usize) -> Self {
        Self(Text::new(&format!("c{revision}-{place}")))
    }

    /// The `place`-th correction of the request its sender gave a key, of which `hash` is the hash.
    #[must_use]
    pub fn keyed(hash: u128, place: usize) -> Self {
        Self(Text::new(&format!("k{hash:032x}-{place}")))
    }
}

impl DpuId {
    /// The hash of Kafka's default partitioner (murmur2, sign bit cleared): it picks a DPU's home partition and slot.
    #[must_use]
    pub fn murmur2(&self) -> u32 {
        murmur2(self.0.as_bytes()) & 0x7fff_ffff
    }
}

/// MurmurHash2 with the seed of `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let (words, rest) = data.as_chunks::<4>();
    let mut h = 0x9747_b28c ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::DefaultHasher;

    #[test]
    fn ids_follow_the_grammar() {
        for good in ["a", "283", "hall-1.b_c:d", &"x".repeat(64)] {
            assert_eq!(good.parse::<SpaceId>().unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("", IdError::Empty),
            ("-a", IdError::BadCharacter { found: '-', position: 0 }),
            ("a b", IdError::BadCharacter { found: ' ', position: 1 }),
            ("é", IdError::BadCharacter { found: 'é', position: 0 }),
            ("outside", IdError::Reserved),
            (&"x".repeat(65), IdError::TooLong(65)),
        ] {
            assert_eq!(bad.parse::<SpaceId>().unwrap_err(), why);
        }
    }

    #[test]
    fn ids_made_here_follow_the_grammar() {
        for made in [CorrectionId::numbered(u64::MAX, usize::MAX), CorrectionId::keyed(u128::MAX, usize::MAX), CorrectionId::keyed(1, 1)] {
            assert_eq!(made.as_str().parse(), Ok(made.clone()));
        }
    }

    #[test]
    fn ids_of_any_length_compare_and_hash_as_their_texts() {
        let texts: Vec<String> = (1..=MAX_LEN).flat_map(|len| ["x".repeat(len), format!("{}y", "x".repeat(len - 1))]).collect();
        let ids: Vec<DpuId> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let hash = |one: &dyn Fn(&mut DefaultHasher)| {
            let mut hasher = DefaultHasher::new();
            one(&mut hasher);
            hasher.finish()
        };
        for (text, id) in texts.iter().zip(&ids) {
            assert_eq!((id.as_str(), id.to_string()), (text.as_str(), text.clone()));
            assert_eq!(hash(&|hasher| id.hash(hasher)), hash(&|hasher| text.as_str().hash(hasher)), "{text}");
            for (other_text, other) in texts.iter().zip(&ids) {
                assert_eq!((id.cmp(other), id == other), (text.cmp(other_text), text == other_text), "{text} and {other_text}");
            }
        }
    }

    /// The vectors of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_agrees_with_kafka() {
        for (text, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
        }
    }
}
