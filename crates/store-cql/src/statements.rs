//! Every statement, prepared once.

use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use store::StoreError;

use crate::session::Db;

/// Rows of quarantined input can be large.
const QUARANTINE_PAGE_ROWS: i32 = 32;
/// Parts of an edit are large.
const PARTS_PAGE_ROWS: i32 = 8;
/// Days are looked at one after the other, often only the first few.
const DAYS_PAGE_ROWS: i32 = 100;

macro_rules! statements {
    ($($(#[$doc:meta])* $kind:ident $name:ident: $text:expr;)*) => {
        /// The statements of a keyspace.
        #[derive(Debug)]
        pub(crate) struct Statements {
            $($(#[$doc])* pub(crate) $name: PreparedStatement,)*
        }

        impl Statements {
            /// Prepares them all for a keyspace, which each of them names as `{ks}`.
            pub(crate) async fn prepare(db: &Db, keyspace: &str) -> Result<Self, StoreError> {
                Ok(Self { $($name: statements!(@$kind db, &$text.replace("{ks}", keyspace)).await?,)* }.tuned())
            }
        }
    };
    (@read $db:ident, $text:expr) => { $db.prepare_read($text) };
    (@write $db:ident, $text:expr) => { $db.prepare($text) };
}

statements! {
    write put_opening: "INSERT INTO {ks}.dpu_openings (slot, dpu_id, day, entered, exited) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
    write put_crossing: "INSERT INTO {ks}.crossings (slot, day, dpu_id, at, boot, seq, direction, entered, exited, appended_at) \
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
    write put_counters: "INSERT INTO {ks}.dpu_counters (slot, dpu_id, counters) VALUES (?, ?, ?) USING TIMESTAMP ?";
    write put_dpu: "INSERT INTO {ks}.dpus (directory, dpu_id) VALUES (0, ?) USING TIMESTAMP ?";
    write put_bucket: "INSERT INTO {ks}.quarantine_buckets (directory, topic, log_partition, bucket) VALUES (0, ?, ?, ?) USING TIMESTAMP ?";
    write put_quarantined: "INSERT INTO {ks}.quarantine (topic, log_partition, bucket, log_offset, item, reason, detail, dpu_id, received_at, \
        payload, replayed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";

    read counters: "SELECT dpu_id, counters FROM {ks}.dpu_counters WHERE slot = ? AND dpu_id IN ?";
    read dpus: "SELECT dpu_id FROM {ks}.dpus WHERE directory = 0 AND dpu_id > ? LIMIT ?";
    /// The latest openings at or before a day, newest first, and when they were written.
    read latest_openings: "SELECT day, entered, exited, WRITETIME(entered) FROM {ks}.dpu_openings WHERE slot = ? AND dpu_id = ? AND day <= ? LIMIT ?";
    /// The openings within two days, both included, in order.
    read openings: "SELECT day, entered, exited FROM {ks}.dpu_openings WHERE slot = ? AND dpu_id = ? AND day >= ? AND day <= ? \
        ORDER BY dpu_id DESC";
    /// The last crossing of a day.
    read last_crossing: "SELECT at, boot, seq, direction, entered, exited, appended_at FROM {ks}.crossings \
        WHERE slot = ? AND day = ? AND dpu_id = ? LIMIT 1";
    /// The last crossing of a day before a key.
    read crossing_before: "SELECT at, boot, seq, direction, entered, exited, appended_at FROM {ks}.crossings \
        WHERE slot = ? AND day = ? AND dpu_id = ? AND (at, boot, seq, direction) < (?, ?, ?, ?) LIMIT 1";
    /// The totals of a day before an instant, and when they were written.
    read totals_within_day: "SELECT entered, exited, WRITETIME(entered) FROM {ks}.crossings \
        WHERE slot = ? AND day = ? AND dpu_id = ? AND at < ? LIMIT 1";
    /// The crossings of a day from a key on and before another, in order.
    read crossings: "SELECT at, boot, seq, direction, entered, exited, appended_at FROM {ks}.crossings \
        WHERE slot = ? AND day = ? AND dpu_id = ? AND (at, boot, seq, direction) >= (?, ?, ?, ?) AND (at, boot, seq, direction) < (?, ?, ?, ?) \
        ORDER BY dpu_id DESC LIMIT ?";

    read buckets: "SELECT topic, log_partition, bucket FROM {ks}.quarantine_buckets \
        WHERE directory = 0 AND (topic, log_partition, bucket) >= (?, ?, ?)";
    read quarantined: "SELECT log_offset, item, reason, detail, dpu_id, received_at, payload, replayed_at FROM {ks}.quarantine \
        WHERE topic = ? AND log_partition = ? AND bucket = ? AND (log_offset, item) > (?, ?) LIMIT ?";

    write append_edit: "BEGIN BATCH \
        UPDATE {ks}.edits SET head = ? WHERE log = 0 IF head = ?; \
        INSERT INTO {ks}.edits (log, revision, writer, parts, content) VALUES (0, ?, ?, ?, ?); \
        APPLY BATCH";
    write put_part: "INSERT INTO {ks}.edit_parts (writer, part, content) VALUES (?, ?, ?)";
    write drop_parts: "DELETE FROM {ks}.edit_parts WHERE writer = ?";
    read edits: "SELECT revision, writer, parts, content FROM {ks}.edits WHERE log = 0 AND revision > ?";
    read parts: "SELECT part, content FROM {ks}.edit_parts WHERE writer = ?";
    read head: "SELECT head FROM {ks}.edits WHERE log = 0 LIMIT 1";
    read writer: "SELECT writer FROM {ks}.edits WHERE log = 0 AND revision = ?";

    write put_settings: "UPDATE {ks}.settings SET writer = ?, value = ? WHERE name = 'store' IF value = ?";
    read settings: "SELECT writer, value FROM {ks}.settings WHERE name = 'store'";
    read decided_settings: "SELECT writer, value FROM {ks}.settings WHERE name = 'store'";
}

impl Statements {
    fn tuned(mut self) -> Self {
        self.openings.set_page_size(DAYS_PAGE_ROWS);
        self.quarantined.set_page_size(QUARANTINE_PAGE_ROWS);
        self.parts.set_page_size(PARTS_PAGE_ROWS);
        // A serial read first brings to an end what somebody has begun.
        for decided in [&mut self.head, &mut self.writer, &mut self.decided_settings] {
            decided.set_consistency(Consistency::Serial);
        }
        self
    }
}
