package headcount;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;
import org.apache.kafka.streams.state.ReadOnlyWindowStore;
import org.apache.kafka.streams.state.WindowStoreIterator;

/** Answers from the state stores over HTTP. */
final class Answers {
    private final KafkaStreams streams;
    private final String brokers;
    private final String application;
    private final int partitions;
    private final Map<Integer, Stores> stores = new ConcurrentHashMap<>();

    /** The stores of one partition. */
    private record Stores(ReadOnlyKeyValueStore<byte[], byte[]> crossings, ReadOnlyWindowStore<String, byte[]> history) {}

    Answers(KafkaStreams streams, String brokers, String topic, String application) throws Exception {
        this.streams = streams;
        this.brokers = brokers;
        this.application = application;
        try (Admin admin = admin()) {
            partitions = admin.describeTopics(java.util.List.of(topic)).allTopicNames().get().get(topic).partitions().size();
        }
    }

    int start() throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.createContext("/count", exchange -> answer(exchange, this::count));
        server.createContext("/all", exchange -> answer(exchange, this::all));
        server.createContext("/changelogs", exchange -> answer(exchange, this::changelogs));
        server.setExecutor(Executors.newFixedThreadPool(2, task -> {
            Thread thread = new Thread(task);
            thread.setDaemon(true);
            return thread;
        }));
        server.start();
        return server.getAddress().getPort();
    }

    private interface Question {
        String answer(String query) throws Exception;
    }

    private static void answer(HttpExchange exchange, Question question) throws IOException {
        int status = 200;
        String text;
        try {
            text = question.answer(exchange.getRequestURI().getQuery());
        } catch (Exception error) {
            status = 500;
            text = error.toString();
        }
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    /** How many entered less how many exited up to an instant ("DPU,MS"): whole days from the history, then the day's crossings. */
    private String count(String query) {
        String dpu = query.substring(0, query.indexOf(','));
        long at = Long.parseLong(query.substring(dpu.length() + 1));
        long day = Math.floorDiv(at, Streams.DAY.toMillis()) * Streams.DAY.toMillis();
        Stores stores = stores(dpu);
        long net = 0;
        try (WindowStoreIterator<byte[]> days = stores.history.fetch(dpu, Instant.EPOCH, Instant.ofEpochMilli(day - 1))) {
            while (days.hasNext()) {
                ByteBuffer totals = ByteBuffer.wrap(days.next().value);
                net += totals.getLong() - totals.getLong();
            }
        }
        // The first key of the next ms is in no crossing: a range includes its end.
        byte[] from = Counting.head(dpu, day, 0), to = Counting.head(dpu, at + 1, 0);
        try (KeyValueIterator<byte[], byte[]> crossings = stores.crossings.range(from, to)) {
            while (crossings.hasNext()) {
                byte[] key = crossings.next().key;
                net += key[key.length - 1] == 1 ? 1 : -1;
            }
        }
        return Long.toString(net);
    }

    /** A line for each DPU: its id, how many entered, how many exited. */
    private String all(String query) {
        ReadOnlyKeyValueStore<String, byte[]> counts =
            streams.store(StoreQueryParameters.fromNameAndType(Streams.COUNTS, QueryableStoreTypes.keyValueStore()));
        StringBuilder text = new StringBuilder();
        try (KeyValueIterator<String, byte[]> all = counts.all()) {
            while (all.hasNext()) {
                KeyValue<String, byte[]> one = all.next();
                ByteBuffer totals = ByteBuffer.wrap(one.value);
                text.append(one.key).append(' ').append(totals.getLong()).append(' ').append(totals.getLong()).append('\n');
            }
        }
        return text.toString();
    }

    /** What the changelogs take on the brokers' disks, in bytes. */
    private String changelogs(String query) throws Exception {
        try (Admin admin = admin()) {
            var brokers = admin.describeCluster().nodes().get().stream().map(node -> node.id()).toList();
            long bytes = 0;
            for (Map<String, LogDirDescription> folders : admin.describeLogDirs(brokers).allDescriptions().get().values()) {
                for (LogDirDescription folder : folders.values()) {
                    for (var replica : folder.replicaInfos().entrySet()) {
                        bytes += replica.getKey().topic().startsWith(application + "-") ? replica.getValue().size() : 0;
                    }
                }
            }
            return Long.toString(bytes);
        }
    }

    /** The stores a DPU is in: without this, each look-up would ask those of every partition. */
    private Stores stores(String dpu) {
        int partition = Utils.toPositive(Utils.murmur2(dpu.getBytes(StandardCharsets.UTF_8))) % partitions;
        return stores.computeIfAbsent(partition, any -> new Stores(
            streams.store(StoreQueryParameters.fromNameAndType(
                Streams.CROSSINGS, QueryableStoreTypes.<byte[], byte[]>keyValueStore()).withPartition(partition)),
            streams.store(StoreQueryParameters.fromNameAndType(
                Streams.HISTORY, QueryableStoreTypes.<String, byte[]>windowStore()).withPartition(partition))));
    }

    private Admin admin() {
        return Admin.create(Map.of("bootstrap.servers", brokers));
    }
}
