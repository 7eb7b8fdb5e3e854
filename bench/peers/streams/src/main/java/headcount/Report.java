package headcount;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** A report of a DPU (schemas/headcount/v1/report.proto): of its fields, those that crossings are made of. */
record Report(String dpu, List<Crossing> crossings) {
    /** One person through the doorway; direction is 1 or -1. */
    record Crossing(long at, long boot, long seq, int direction) {}

    static Report decode(byte[] bytes) {
        Reader in = new Reader(bytes, 0, bytes.length);
        String dpu = "";
        long boot = 0;
        List<Reader> parts = new ArrayList<>(1);
        while (in.more()) {
            int tag = (int) in.varint();
            switch (tag) {
                case 1 << 3 | 2 -> dpu = in.part().text();
                case 2 << 3 -> boot = in.varint();
                case 3 << 3 | 2 -> parts.add(in.part());
                default -> in.skip(tag);
            }
        }
        List<Crossing> crossings = new ArrayList<>(parts.size());
        for (Reader part : parts) {
            crossings.add(crossing(part, boot));
        }
        return new Report(dpu, crossings);
    }

    private static Crossing crossing(Reader in, long boot) {
        long at = 0, seq = 0, own = boot, direction = 0;
        while (in.more()) {
            int tag = (int) in.varint();
            switch (tag) {
                case 1 << 3 -> at = in.varint();
                case 2 << 3 -> direction = in.varint();
                case 3 << 3 -> seq = in.varint();
                case 4 << 3 -> own = in.varint();
                default -> in.skip(tag);
            }
        }
        if (direction != 1 && direction != 2) {
            throw new IllegalArgumentException("a crossing without a direction");
        }
        return new Crossing(at, own, seq, direction == 1 ? 1 : -1);
    }

    /** Reads the parts of a protobuf message. */
    private static final class Reader {
        private final byte[] bytes;
        private final int end;
        private int next;

        Reader(byte[] bytes, int from, int end) {
            this.bytes = bytes;
            this.next = from;
            this.end = end;
        }

        boolean more() {
            return next < end;
        }

        long varint() {
            long value = 0;
            for (int shift = 0; ; shift += 7) {
                byte b = bytes[next++];
                value |= (long) (b & 0x7f) << shift;
                if (b >= 0) {
                    return value;
                }
            }
        }

        Reader part() {
            int length = (int) varint();
            next += length;
            return new Reader(bytes, next - length, next);
        }

        String text() {
            return new String(bytes, next, end - next, StandardCharsets.UTF_8);
        }

        void skip(int tag) {
            switch (tag & 7) {
                case 0 -> varint();
                case 1 -> next += 8;
                case 2 -> part();
                case 5 -> next += 4;
                default -> throw new IllegalArgumentException("no field begins with " + tag);
            }
        }
    }
}
