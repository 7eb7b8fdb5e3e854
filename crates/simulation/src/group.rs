//! The consumer group, as its coordinator sees it: who is a member, who owns which partition, what is committed.
//!
//! It moves one partition at a time: asked for, given up, given to another. Who is not heard of in time is thrown out
//! and finds out later. An offset counts only from the partition's owner.

use std::collections::{BTreeMap, BTreeSet};

/// How long a member may be silent, in ms.
const SESSION_MS: u64 = 120;

/// What the group knows.
#[derive(Debug, Default)]
pub(crate) struct Group {
    joined: u64,
    members: BTreeMap<u64, Member>,
    partitions: BTreeMap<i32, Partition>,
}

#[derive(Debug)]
struct Member {
    seen_ms: u64,
    given: BTreeSet<i32>,
    wanted: BTreeSet<i32>,
}

#[derive(Debug, Default)]
struct Partition {
    owner: Option<u64>,
    last_owner: Option<u64>,
    committed: i64,
}

/// What a member is told.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// To give up.
    pub(crate) revoked: Vec<i32>,
    /// To take over, from these offsets.
    pub(crate) assigned: Vec<(i32, i64)>,
}

impl Group {
    /// Starts over with so many partitions, nothing consumed, nobody there.
    pub(crate) fn create(&mut self, partitions: i32) {
        self.members.clear();
        self.partitions = (0..partitions).map(|partition| (partition, Partition::default())).collect();
    }

    /// A new member; its number.
    pub(crate) fn join(&mut self, now_ms: u64) -> u64 {
        self.joined += 1;
        self.members.insert(self.joined, Member { seen_ms: now_ms, given: BTreeSet::new(), wanted: BTreeSet::new() });
        self.joined
    }

    /// What a member that shows itself is told; `None` once it has been thrown out.
    pub(crate) fn poll(&mut self, member: u64, now_ms: u64) -> Option<Orders> {
        self.members.get_mut(&member)?.seen_ms = now_ms;
        let silent = |found: &Member| now_ms.saturating_sub(found.seen_ms) > SESSION_MS;
        let gone: Vec<u64> = self.members.iter().filter(|(_, found)| silent(found)).map(|(member, _)| *member).collect();
        gone.into_iter().for_each(|member| self.leave(member));
        self.balance();
        let found = self.members.get_mut(&member)?;
        let revoked: Vec<i32> = std::mem::take(&mut found.wanted).into_iter().collect();
        let assigned = std::mem::take(&mut found.given);
        let committed = |partition: &i32| self.partitions.get(partition).map_or(0, |found| found.committed);
        Some(Orders { revoked, assigned: assigned.into_iter().map(|partition| (partition, committed(&partition))).collect() })
    }

    /// A member has given a partition up.
    pub(crate) fn release(&mut self, member: u64, partition: i32) {
        if let Some(found) = self.partitions.get_mut(&partition).filter(|found| found.owner == Some(member)) {
            (found.owner, found.last_owner) = (None, Some(member));
        }
        if let Some(found) = self.members.get_mut(&member) {
            found.wanted.remove(&partition);
        }
    }

    /// A member goes, or is thrown out.
    pub(crate) fn leave(&mut self, member: u64) {
        self.members.remove(&member);
        let all: Vec<i32> = self.partitions.keys().copied().collect();
        all.into_iter().for_each(|partition| self.release(member, partition));
    }

    /// Asks for a partition back from whoever owns it.
    pub(crate) fn want(&mut self, partition: i32) {
        let owner = self.partitions.get(&partition).and_then(|found| found.owner);
        let Some(member) = owner.and_then(|owner| self.members.get_mut(&owner)) else { return };
        // One that was never told of it need not give it up.
        if member.given.remove(&partition) {
            self.release(owner.unwrap_or(0), partition);
        } else {
            member.wanted.insert(partition);
        }
    }

    /// Commits an offset; the one before, unless the sender is not the owner.
    pub(crate) fn commit(&mut self, member: u64, partition: i32, offset: i64) -> Option<i64> {
        let found = self.partitions.get_mut(&partition).filter(|found| found.owner == Some(member))?;
        Some(std::mem::replace(&mut found.committed, offset))
    }

    pub(crate) fn committed(&self, partition: i32) -> i64 {
        self.partitions.get(&partition).map_or(0, |found| found.committed)
    }

    /// Sets a partition back, as an operator may while nobody owns it.
    pub(crate) fn rewind(&mut self, partition: i32, offset: i64) {
        if let Some(found) = self.partitions.get_mut(&partition).filter(|found| found.owner.is_none()) {
            found.committed = found.committed.min(offset);
        }
    }

    /// Gives free partitions to those who own the fewest, and asks for one where shares differ by more than one.
    fn balance(&mut self) {
        let free: Vec<i32> = self.partitions.iter().filter(|(_, found)| found.owner.is_none()).map(|(partition, _)| *partition).collect();
        for partition in free {
            let last_owner = self.partitions.get(&partition).and_then(|found| found.last_owner);
            let others = self.members.keys().copied().filter(|member| self.members.len() < 2 || Some(*member) != last_owner);
            let Some(owner) = others.min_by_key(|member| self.share(*member)) else { return };
            if let (Some(found), Some(member)) = (self.partitions.get_mut(&partition), self.members.get_mut(&owner)) {
                found.owner = Some(owner);
                member.given.insert(partition);
            }
        }
        let least = self.members.keys().map(|member| self.share(*member)).min().unwrap_or(0);
        let over = self.members.keys().copied().find(|member| self.share(*member) > least + 1);
        let surplus = over.and_then(|over| self.partitions.iter().find(|(_, found)| found.owner == Some(over)));
        if let Some(partition) = surplus.map(|(partition, _)| *partition) {
            self.want(partition);
        }
    }

    fn share(&self, member: u64) -> usize {
        self.partitions.values().filter(|found| found.owner == Some(member)).count()
    }
}
