import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.header.internals.RecordHeaders;

/**
 * Writes records whose content follows from their number, in the batch shapes that the real Java
 * client makes. Arguments are key=value; see JavaProduce in the Go package for the list.
 */
public class Produce {
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
        for (String arg : argv) {
            String key = arg.substring(0, arg.indexOf('='));
            String value = arg.substring(arg.indexOf('=') + 1);
            if (key.startsWith("config.")) {
                config.put(key.substring("config.".length()), value);
            } else {
                args.put(key, value);
            }
        }
        List<KafkaProducer<byte[], byte[]>> producers = new ArrayList<>();
        for (String codec : args.getOrDefault("codec", "none").split(",")) {
            producers.add(producer(config, codec, producers.size()));
        }
        long written = run(producers);
        if (args.getOrDefault("txn.open", "false").equals("true")) {
            System.out.println(written);
            System.out.flush();
            Runtime.getRuntime().halt(0); // the last transaction stays open
        }
        for (KafkaProducer<byte[], byte[]> p : producers) {
            p.close();
        }
        System.out.println(written);
    }

    static KafkaProducer<byte[], byte[]> producer(Properties common, String codec, int number) {
        Properties p = new Properties();
        p.put("bootstrap.servers", args.get("bootstrap"));
        p.put("key.serializer", "org.apache.kafka.common.serialization.ByteArraySerializer");
        p.put("value.serializer", "org.apache.kafka.common.serialization.ByteArraySerializer");
        p.put("acks", "all");
        p.put("enable.idempotence", "true");
        p.put("linger.ms", "1000"); // batches end when they are full or flushed
        p.put("compression.type", codec);
        if (args.containsKey("batch.size")) {
            p.put("batch.size", args.get("batch.size"));
        }
        p.putAll(common);
        if (args.containsKey("txn.id")) {
            p.put("transactional.id", args.get("txn.id") + "-" + number);
        }
        KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p);
        if (args.containsKey("txn.id")) {
            producer.initTransactions();
        }
        return producer;
    }

    /** Groups of records go to one producer after another; a group is a transaction if there are any. */
    static long run(List<KafkaProducer<byte[], byte[]>> producers) throws Exception {
        long first = number("first", 0);
        long count = number("count", 100);
        boolean transactional = args.containsKey("txn.id");
        long group = number(transactional ? "txn.size" : "flush.every", transactional ? 10 : Math.max(1, count));
        long abortEvery = number("txn.abort.every", 0);
        boolean open = args.getOrDefault("txn.open", "false").equals("true");
        long groups = 0;
        for (long at = first; at < first + count; at += group, groups++) {
            KafkaProducer<byte[], byte[]> producer = producers.get((int) (groups % producers.size()));
            if (transactional) {
                producer.beginTransaction();
            }
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            long end = Math.min(at + group, first + count);
            for (long i = at; i < end; i++) {
                Future<RecordMetadata> f = producer.send(record(i));
                if (f.isDone()) {
                    f.get(); // refused at once: do not wait for the same answer to all others
                }
                sent.add(f);
            }
            producer.flush();
            for (Future<RecordMetadata> f : sent) {
                f.get();
            }
            if (!transactional || (open && end == first + count)) {
                continue;
            }
            if (abortEvery > 0 && (groups + 1) % abortEvery == 0) {
                producer.abortTransaction();
            } else {
                producer.commitTransaction();
            }
        }
        return count;
    }

    static ProducerRecord<byte[], byte[]> record(long i) {
        Random random = new Random(i + number("seed", 0) * 1_000_003L);
        int partitions = (int) number("partitions", 1);
        Integer partition = args.containsKey("partition") ? (int) number("partition", 0) : (int) (i % partitions);
        Long timestamp = args.containsKey("timestamp")
            ? (Long) (number("timestamp", 0) + i * number("timestamp.step", 1)) : null;
        byte[] key = null;
        if (!every("null.keys", i)) {
            long keys = number("keys", 0);
            key = ("key-" + (keys > 0 ? i % keys : i)).getBytes(StandardCharsets.UTF_8);
        }
        byte[] value = every("null.values", i) ? null : value(random, (int) number("size", 100));
        return new ProducerRecord<>(args.get("topic"), partition, timestamp, key, value, headers(i));
    }

    /** Half of a value is random and half repeats, so that codecs compress to about one half. */
    static byte[] value(Random random, int size) {
        byte[] value = new byte[size];
        byte[] noise = new byte[size / 2];
        random.nextBytes(noise);
        System.arraycopy(noise, 0, value, 0, noise.length);
        return value;
    }

    /** The first header name comes twice, and every third value is null. */
    static RecordHeaders headers(long i) {
        RecordHeaders headers = new RecordHeaders();
        long n = number("headers", 0);
        for (int h = 0; h < n; h++) {
            String name = h == 1 ? "header-0" : "header-" + h;
            headers.add(name, h % 3 == 2 ? null : ("value " + i + "/" + h).getBytes(StandardCharsets.UTF_8));
        }
        return headers;
    }

    static boolean every(String name, long i) {
        long n = number(name, 0);
        return n > 0 && i % n == n - 1;
    }

    static long number(String name, long otherwise) {
        return args.containsKey(name) ? Long.parseLong(args.get(name)) : otherwise;
    }
}
