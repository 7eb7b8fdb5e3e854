package headcount;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.WindowStore;

/** Counts each crossing once, however often and however late it comes. */
final class Counting implements Processor<String, byte[], Void, Void> {
    private static final byte[] THERE = {1};

    private KeyValueStore<byte[], byte[]> crossings;
    private KeyValueStore<String, byte[]> counts;
    private WindowStore<String, byte[]> history;

    @Override
    public void init(ProcessorContext<Void, Void> context) {
        crossings = context.getStateStore(Streams.CROSSINGS);
        counts = context.getStateStore(Streams.COUNTS);
        history = context.getStateStore(Streams.HISTORY);
    }

    @Override
    public void process(Record<String, byte[]> record) {
        Report report = Report.decode(record.value());
        for (Report.Crossing crossing : report.crossings()) {
            if (crossings.putIfAbsent(key(report.dpu(), crossing), THERE) != null) {
                continue;
            }
            counts.put(report.dpu(), with(counts.get(report.dpu()), crossing));
            long day = Math.floorDiv(crossing.at(), Streams.DAY.toMillis()) * Streams.DAY.toMillis();
            history.put(report.dpu(), with(history.fetch(report.dpu(), day), crossing), day);
        }
    }

    private static byte[] with(byte[] totals, Report.Crossing crossing) {
        ByteBuffer before = ByteBuffer.wrap(totals == null ? Streams.totals(0, 0) : totals);
        boolean entered = crossing.direction() > 0;
        return Streams.totals(before.getLong() + (entered ? 1 : 0), before.getLong() + (entered ? 0 : 1));
    }

    private static byte[] key(String dpu, Report.Crossing crossing) {
        byte[] head = head(dpu, crossing.at(), 17);
        ByteBuffer.wrap(head, head.length - 17, 17)
            .putLong(crossing.boot())
            .putLong(crossing.seq())
            .put((byte) (crossing.direction() > 0 ? 1 : 0));
        return head;
    }

    /** The part of a key that orders by DPU and time, and so many bytes more. */
    static byte[] head(String dpu, long at, int more) {
        byte[] name = dpu.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(name.length + 9 + more).put(name).put((byte) 0).putLong(at ^ Long.MIN_VALUE).array();
    }
}
