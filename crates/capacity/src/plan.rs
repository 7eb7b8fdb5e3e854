//! A plan: what is needed, which limit comes first, what it costs, how sure all that is.

use crate::load::{Load, Sizing};
use crate::measured::Basis;

/// What comes of planning.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// For whom.
    pub load: Load,
    /// On what, with what the figures say where nothing was asked for.
    pub sizing: Sizing,
    /// Cores and memory of a machine.
    pub node: Node,
    /// What happens in a second, and how many bytes go where.
    pub flows: Vec<Flow>,
    /// What it takes. More DPUs never take less.
    pub needs: Vec<Need>,
    /// Where it ends with just that, the nearest first.
    pub limits: Vec<Limit>,
    /// Costs of a month; those without a price name the flag that gives it.
    pub costs: Vec<Cost>,
    /// How far from what was measured it all is.
    pub reaches: Vec<Reach>,
    /// What is assumed on top.
    pub assumed: Vec<String>,
    /// What was measured, and where.
    pub basis: Basis,
}

/// A machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// Its cores.
    pub cores: f64,
    /// Its memory.
    pub memory_gb: f64,
}

/// Something that flows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flow {
    /// What it is known by to tools.
    pub id: &'static str,
    /// What it is.
    pub what: &'static str,
    /// `/s` or `B/s`.
    pub unit: &'static str,
    /// The mean of all hours.
    pub mean: f64,
    /// At the busiest time.
    pub peak: f64,
}

/// Something that is needed.
#[derive(Debug, Clone, PartialEq)]
pub struct Need {
    /// What it is known by to tools.
    pub id: &'static str,
    /// What it is.
    pub what: &'static str,
    /// How much of it.
    pub amount: f64,
    /// Of what; empty where it is counted.
    pub unit: &'static str,
    /// Why so much.
    pub because: String,
}

/// How many DPUs can be carried before something is used up.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// What it is known by to tools.
    pub id: &'static str,
    /// What is used up.
    pub what: &'static str,
    /// With so many DPUs.
    pub dpus: u64,
    /// What raises it; nothing where the way Headcount works has to change.
    pub raised_by: Option<&'static str>,
    /// What comes then.
    pub then: &'static str,
}

/// What something costs in a month.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// What it is known by to tools.
    pub id: &'static str,
    /// What is paid for.
    pub what: String,
    /// How much of it.
    pub amount: f64,
    /// The flag that gives its price.
    pub flag: &'static str,
    /// The price of one.
    pub price: Option<f64>,
}

impl Cost {
    /// What it comes to, where there is a price.
    #[must_use]
    pub fn sum(&self) -> Option<f64> {
        self.price.map(|price| price * self.amount)
    }
}

/// What is planned beside what was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach {
    /// What it is known by to tools.
    pub id: &'static str,
    /// Of what.
    pub what: &'static str,
    /// How much is planned.
    pub planned: f64,
    /// How much was measured.
    pub measured: f64,
}

/// Beyond so many times what was measured a plan is an outline.
pub const FAR: f64 = 10.0;

impl Reach {
    /// How many times what was measured.
    #[must_use]
    pub fn times(&self) -> f64 {
        self.planned / self.measured
    }

    /// Whether it is too far to be more than an outline.
    #[must_use]
    pub fn is_far(&self) -> bool {
        self.times() > FAR
    }
}

impl Plan {
    /// The limit that comes first.
    #[must_use]
    pub fn first(&self) -> Option<&Limit> {
        self.limits.first()
    }

    /// Limits that come before all DPUs are there, whatever is bought.
    pub fn in_the_way(&self) -> impl Iterator<Item = &Limit> {
        self.limits.iter().filter(|limit| limit.dpus < self.load.dpus)
    }

    /// Whether what is needed carries the load.
    #[must_use]
    pub fn carries(&self) -> bool {
        self.in_the_way().next().is_none()
    }

    /// How much is needed of something.
    #[must_use]
    pub fn need(&self, id: &str) -> Option<f64> {
        self.needs.iter().find(|need| need.id == id).map(|need| need.amount)
    }

    /// Where something ends.
    #[must_use]
    pub fn limit(&self, id: &str) -> Option<u64> {
        self.limits.iter().find(|limit| limit.id == id).map(|limit| limit.dpus)
    }
}

/// The nearest first; of several at once the one named first.
pub(crate) fn nearest_first(mut limits: Vec<Limit>) -> Vec<Limit> {
    limits.sort_by_key(|limit| limit.dpus);
    limits
}

/// Whole DPUs. What was rounded up to be bought may come out a hair below what it was bought for.
pub(crate) fn whole_dpus(dpus: f64) -> u64 {
    (dpus * (1.0 + 1e-9)).max(0.0) as u64
}
