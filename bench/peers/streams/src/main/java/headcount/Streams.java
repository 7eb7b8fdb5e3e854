package headcount;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.state.Stores;

/**
 * Headcount's question asked of Kafka Streams: counts of each DPU without repeats, and a history, exactly once.
 *
 * <p>Arguments: brokers, topic, application id, a folder for state, how many threads.
 */
public final class Streams {
    /** Every crossing by its identity: finds repeats however late, and tells what happened within a day. */
    static final String CROSSINGS = "crossings";
    /** How many entered and exited, by DPU. */
    static final String COUNTS = "counts";
    /** The same within each UTC day. */
    static final String HISTORY = "history";

    static final Duration DAY = Duration.ofDays(1);
    private static final Duration RETENTION = Duration.ofDays(7300);

    private Streams() {}

    public static void main(String[] args) throws Exception {
        String brokers = args[0], topic = args[1], application = args[2];
        KafkaStreams streams = new KafkaStreams(topology(topic), properties(brokers, application, args[3], args[4]));
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.ERROR) {
                Runtime.getRuntime().halt(1);
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(60))));
        Answers answers = new Answers(streams, brokers, topic, application);
        streams.start();
        System.out.println("answers at http://127.0.0.1:" + answers.start());
    }

    private static Topology topology(String topic) {
        Map<String, String> defaults = Map.of();
        return new Topology()
            .addSource("reports", new StringDeserializer(), new ByteArrayDeserializer(), topic)
            .addProcessor("counting", Counting::new, "reports")
            // Each key is written once: a cache would only hold it up.
            .addStateStore(
                Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(CROSSINGS), Serdes.ByteArray(), Serdes.ByteArray())
                    .withLoggingEnabled(defaults),
                "counting")
            .addStateStore(
                Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(COUNTS), Serdes.String(), Serdes.ByteArray())
                    .withLoggingEnabled(defaults)
                    .withCachingEnabled(),
                "counting")
            .addStateStore(
                Stores.windowStoreBuilder(
                        Stores.persistentWindowStore(HISTORY, RETENTION, DAY, false), Serdes.String(), Serdes.ByteArray())
                    .withLoggingEnabled(defaults)
                    .withCachingEnabled(),
                "counting");
    }

    private static Properties properties(String brokers, String application, String folder, String threads) {
        Properties properties = new Properties();
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, folder);
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, threads);
        // As often as Headcount's consumer commits its offsets.
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 200);
        properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
        properties.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 10_000);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        return properties;
    }

    /** Two totals, as they are stored. */
    static byte[] totals(long entered, long exited) {
        return ByteBuffer.allocate(16).putLong(entered).putLong(exited).array();
    }
}
