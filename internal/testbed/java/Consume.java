import java.io.PrintStream;
import java.io.FileOutputStream;
import java.io.FileDescriptor;
import java.io.BufferedOutputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;

/**
 * Reads ranges of a topic's partitions and prints one line per record, and at the end one line per
 * partition with the position that was reached. Arguments are key=value; see JavaConsume in the Go
 * package for the list and the line format.
 */
public class Consume {
    static final Map<String, String> args = new HashMap<>();

    public static void main(String[] argv) {
        try {
            work(argv);
        } catch (Throwable e) {
            e.printStackTrace();
            Runtime.getRuntime().halt(1); // closing a client could take half a minute
        }
    }

    static void work(String[] argv) throws Exception {
        Properties config = new Properties();
        config.put("key.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer");
        config.put("value.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer");
        config.put("enable.auto.commit", "false");
        config.put("auto.offset.reset", "none");
        config.put("max.poll.records", "10000");
        for (String arg : argv) {
            String key = arg.substring(0, arg.indexOf('='));
            String value = arg.substring(arg.indexOf('=') + 1);
            if (key.startsWith("config.")) {
                config.put(key.substring("config.".length()), value);
            } else {
                args.put(key, value);
            }
        }
        config.put("bootstrap.servers", args.get("bootstrap"));
        config.put("isolation.level", args.getOrDefault("isolation", "read_uncommitted"));
        PrintStream out = new PrintStream(
            new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 16), false, "UTF-8");
        KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config);
        read(consumer, out);
        consumer.close();
        out.flush();
    }

    static void read(KafkaConsumer<byte[], byte[]> consumer, PrintStream out) throws Exception {
        List<TopicPartition> partitions = partitions(consumer);
        Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
        if (args.containsKey("to")) {
            ends.replaceAll((tp, end) -> Long.parseLong(args.get("to")));
        }
        consumer.assign(partitions);
        if (args.containsKey("from")) {
            partitions.forEach(tp -> consumer.seek(tp, Long.parseLong(args.get("from"))));
        } else {
            consumer.seekToBeginning(partitions);
        }
        long idleMillis = Long.parseLong(args.getOrDefault("idle.ms", "30000"));
        long progressed = System.currentTimeMillis();
        while (!partitions.stream().allMatch(tp -> consumer.position(tp) >= ends.get(tp))) {
            long before = partitions.stream().mapToLong(consumer::position).sum();
            for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(200))) {
                if (r.offset() < ends.get(new TopicPartition(r.topic(), r.partition()))) {
                    print(out, r);
                }
            }
            if (partitions.stream().mapToLong(consumer::position).sum() != before) {
                progressed = System.currentTimeMillis();
            } else if (System.currentTimeMillis() - progressed > idleMillis) {
                throw new IllegalStateException("no progress for " + idleMillis + " ms before the end " + ends);
            }
        }
        for (TopicPartition tp : partitions) {
            out.println("position\t" + tp.partition() + "\t" + consumer.position(tp));
        }
    }

    static List<TopicPartition> partitions(KafkaConsumer<byte[], byte[]> consumer) {
        List<TopicPartition> list = new ArrayList<>();
        String topic = args.get("topic");
        if (args.containsKey("partition")) {
            list.add(new TopicPartition(topic, Integer.parseInt(args.get("partition"))));
            return list;
        }
        List<PartitionInfo> infos = consumer.partitionsFor(topic);
        if (infos == null || infos.isEmpty()) {
            throw new IllegalStateException("topic " + topic + " does not exist");
        }
        for (PartitionInfo info : infos) {
            list.add(new TopicPartition(topic, info.partition()));
        }
        return list;
    }

    static void print(PrintStream out, ConsumerRecord<byte[], byte[]> r) throws Exception {
        StringBuilder headers = new StringBuilder();
        for (Header h : r.headers()) {
            headers.append(headers.length() == 0 ? "" : ",");
            headers.append(hex(h.key().getBytes(StandardCharsets.UTF_8), Integer.MAX_VALUE));
            headers.append('=').append(digest(h.value()));
        }
        out.println("record\t" + r.partition() + "\t" + r.offset() + "\t" + r.timestamp() + "\t"
            + r.timestampType() + "\t" + digest(r.key()) + "\t" + digest(r.value()) + "\t" + headers);
    }

    /** "null", or the length and the first 16 bytes of SHA-256. */
    static String digest(byte[] b) throws Exception {
        if (b == null) {
            return "null";
        }
        return b.length + ":" + hex(MessageDigest.getInstance("SHA-256").digest(b), 16);
    }

    static String hex(byte[] b, int max) {
        StringBuilder s = new StringBuilder();
        for (int i = 0; i < b.length && i < max; i++) {
            s.append(Character.forDigit((b[i] >> 4) & 15, 16)).append(Character.forDigit(b[i] & 15, 16));
        }
        return s.toString();
    }
}
