package settings

import "testing"

// FuzzSettings: whatever a cluster shows, numbers that are none and policies that nobody knows among it, nothing
// panics, a copy's configuration never lets the target delete or compact by itself, and applying it leaves nothing to
// change. (That finalizing brings the source's values back is TestFinalEqualsSource.)
func FuzzSettings(f *testing.F) {
	f.Add("delete", "604800000", "-1", "1048588", "producer", "CreateTime", uint8(0))
	f.Add("compact,delete", "-1", "9223372036854775808", "2147483648", "lz4", "LogAppendTime", uint8(1))
	f.Add("", "", "", "", "", "", uint8(2))
	f.Add(" compact , , delete,compact", "-9223372036854775809", "0x10", "-5", "gzip\n", "logappendtime", uint8(3))
	f.Add("none", "1e9", "\x00", "99999999999999999999999999", "zstd", "\xff", uint8(4))
	f.Fuzz(func(t *testing.T, policy, retention, bytes, message, compression, timestamps string, which uint8) {
		release := []Topic{kafka28(), kafka39(), kafka43()}
		odd := Topic{
			cleanupPolicy: set(policy, "delete"), retentionMillis: set(retention, "604800000"), retentionBytes: set(bytes, "-1"),
			maxMessageBytes: set(message, "1048588"), compressionType: set(compression, "producer"), timestampType: set(timestamps, "CreateTime"),
			segmentBytes: Inherited(bytes), minInsync: Inherited(message), timestampAfter: Inherited(retention),
		}
		source := with(release[which%3], odd)
		target := release[which/3%3]
		if which&0x80 != 0 {
			source, target = target, source
		}
		p := Policy{MinInsync: Count{Exact: true}}
		final := Desired(source, target, p, 3)
		during := CopyTime(final, target)
		now := applied(target, during)
		if Compacts(now[cleanupPolicy].Value) || !Copying(now) {
			t.Fatalf("not safe for a copy: %v", now)
		}
		if c := Changes(now, CopyTime(Desired(source, now, p, 3), now)); len(c) > 0 {
			t.Fatalf("left to change: %+v", c)
		}
		Differences(now, final)
		Obstacle(target, final)
		AsFinal(now, final)
		Nearest(maxMessageBytes, message)
	})
}
