// Golden writes java-client.jsonl: batches as Kafka's own classes encode them, and
// the records that the same classes read back. One JSON object a line.
//
//   javac -cp kafka-clients-3.9.2.jar Golden.java
//   java -cp .:kafka-clients-3.9.2.jar:zstd-jni.jar:lz4-java.jar:snappy-java.jar:slf4j-api.jar Golden > java-client.jsonl
//
// 3.9 is the last client that can write magic 0 and 1.

import java.nio.ByteBuffer;
import java.util.Base64;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.MemoryRecords.RecordFilter;
import org.apache.kafka.common.utils.BufferSupplier;

public class Golden {
    static final long BASE = 5_000_000_000L;

    public static void main(String[] args) {
        for (byte magic = 0; magic <= 2; magic++) {
            for (CompressionType codec : CompressionType.values()) {
                if (codec == CompressionType.ZSTD && magic < 2) {
                    continue;
                }
                String name = "magic " + magic + " " + codec.name;
                MemoryRecords plain = build(magic, codec, TimestampType.CREATE_TIME);
                print(name, plain);
                print(name + " compacted", compact(plain, RecordFilter.BatchRetention.DELETE_EMPTY, 3));
                if (magic > 0) {
                    print(name + " LogAppendTime", build(magic, codec, TimestampType.LOG_APPEND_TIME));
                }
                if (magic == 2) {
                    print(name + " emptied", compact(plain, RecordFilter.BatchRetention.RETAIN_EMPTY, 0));
                }
            }
        }
        for (ControlRecordType type : new ControlRecordType[] {ControlRecordType.COMMIT, ControlRecordType.ABORT}) {
            print("marker " + type.name().toLowerCase(), MemoryRecords.withEndTransactionMarker(
                BASE, 1_700_000_000_000L, 5, 77L, (short) 3, new EndTransactionMarker(type, 9)));
        }
    }

    static MemoryRecords build(byte magic, CompressionType codec, TimestampType time) {
        MemoryRecordsBuilder b = MemoryRecords.builder(ByteBuffer.allocate(1 << 16), magic, Compression.of(codec).build(), time, BASE, 1_800_000_000_000L);
        for (int i = 0; i < 12; i++) {
            byte[] key = i % 4 == 0 ? null : ("key " + i).getBytes();
            byte[] value = i == 5 ? null : i == 6 ? new byte[0] : ("value " + i + " value value value value value").getBytes();
            Header[] headers = magic < 2 || i % 3 != 0 ? Record.EMPTY_HEADERS
                : new Header[] {new RecordHeader("h", new byte[] {1, 2}), new RecordHeader("", null), new RecordHeader("h", new byte[0])};
            long timestamp = magic == 0 ? RecordBatch.NO_TIMESTAMP : 1_700_000_000_000L + 1000 * (i % 5) - i;
            b.appendWithOffset(BASE + i, timestamp, key, value, headers);
        }
        return b.build();
    }

    static MemoryRecords compact(MemoryRecords in, RecordFilter.BatchRetention retention, int step) {
        ByteBuffer out = ByteBuffer.allocate(1 << 16);
        in.filterTo(new TopicPartition("t", 0), new RecordFilter(1_700_000_100_000L, 86_400_000L) {
            protected BatchRetentionResult checkBatchRetention(RecordBatch batch) {
                return new BatchRetentionResult(retention, false);
            }

            protected boolean shouldRetainRecord(RecordBatch batch, Record record) {
                return step > 0 && (record.offset() - BASE) % step == 2;
            }
        }, out, Integer.MAX_VALUE, BufferSupplier.NO_CACHING);
        out.flip();
        return MemoryRecords.readableRecords(out);
    }

    static void print(String name, MemoryRecords records) {
        for (MutableRecordBatch batch : records.batches()) {
            StringBuilder s = new StringBuilder();
            ByteBuffer raw = ByteBuffer.allocate(batch.sizeInBytes());
            batch.writeTo(raw);
            s.append("{\"name\":\"" + name + "\",\"first\":" + batch.baseOffset() + ",\"last\":" + batch.lastOffset() + ",\"raw\":" + quote(raw.array()) + ",\"records\":[");
            String comma = "";
            if (!batch.isControlBatch()) {
                for (Record r : batch) {
                    s.append(comma + "{\"Offset\":" + r.offset() + ",\"Timestamp\":" + r.timestamp() + ",\"Key\":" + quote(r.key()) + ",\"Value\":" + quote(r.value()) + ",\"Headers\":[");
                    String inner = "";
                    for (Header h : r.headers()) {
                        s.append(inner + "{\"Key\":" + quote(h.key().getBytes()) + ",\"Value\":" + quote(h.value()) + "}");
                        inner = ",";
                    }
                    s.append("]}");
                    comma = ",";
                }
            }
            System.out.println(s + "]}");
        }
    }

    static String quote(ByteBuffer b) {
        if (b == null) {
            return "null";
        }
        byte[] p = new byte[b.remaining()];
        b.duplicate().get(p);
        return quote(p);
    }

    static String quote(byte[] p) {
        return p == null ? "null" : "\"" + Base64.getEncoder().encodeToString(p) + "\"";
    }
}
