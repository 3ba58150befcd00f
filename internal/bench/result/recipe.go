package result

import "fmt"

// recipe says how it was measured, so that somebody else can.
func (p *page) recipe() {
	b := p.book
	p.line("## Recipe", "", "```sh", "make bench                                        # everything", "go run ./internal/bench -scale 0.05 -rounds 1 -out /tmp/bench   # a look in five minutes", "go run ./internal/bench -only latency,idle        # some sections, the others are kept", "go run ./internal/bench -page                     # this page anew from the results", "```", "")
	p.linef("Machine: %d cores (%s), %d MB of memory, Linux %s; %s; Apache Kafka %s; Java %s; franz-go %s. Brokers, tool, and load generator share it, all on loopback.",
		b.Machine.Cores, b.Machine.Processor, b.Machine.MemoryMB, b.Machine.Kernel, b.Machine.Go, b.Kafka, b.Java, b.FranzGo)
	p.line("")
	rows := [][]string{{"section", "date", "kferry", "scale", "rounds", "minutes"}}
	for _, s := range b.Sections {
		rows = append(rows, []string{s.Name, s.Date, s.Commit, fmt.Sprintf("%g", s.Scale), fmt.Sprintf("%d", s.Rounds), fmt.Sprintf("%.1f", s.Minutes)})
	}
	p.table(rows)
	p.line(definitions)
}

const definitions = `How it is done:

- Topics are filled once. In each round the contenders run one after another, each as a process of its own against an emptied target, the order shifted by one from round to round.
- **The clock** is the benchmark's own for all of them: it asks the target's high watermarks every 10 to 50 ms and counts from the last look that found nothing to the first that found everything. The time until the first record (start of a JVM, of a connector, kferry's probing of the target) is not in it.
- A run that is not done after the cut (30 s) is stopped; its rate is that of what was there by then.
- **CPU** is user plus system time of the tool's process. For kferry and franz-go it is that of the whole life of the process, start and end included; for MirrorMaker 2 and the produce limit only that within the clock, so neither the start of a JVM nor reading batches into memory is charged to them.
- **Target CPU** is that of all brokers of the target within the clock. A GB is 10^9 bytes of batches as they lie on the source.
- **Peak memory** is VmHWM, read every 10 to 50 ms.
- "The rest of the machine" is what /proc/stat counts beyond tool and brokers: the kernel's writing to disk, the benchmark itself (and in the WAN section its proxy), strangers.
- After the first round of each workload on one broker, ` + "`kferry verify`" + ` compares both sides; a difference ends the benchmark.

The contenders:

- **kferry**: ` + "`kferry replicate --source-bootstrap-server … --target-bootstrap-server … --topics X --until-caught-up`" + `, defaults otherwise. In sections with replication factor 3 ` + "`--replication-factor 3`" + ` is added.
- **franz-go**: consume, decode, encode, produce with franz-go, the best settings that were found: records handed on without a copy, idempotent with acks=all, five requests under way, batches up to 1 MB without a linger, the source's codec and partitions, 1 MiB of a partition in a fetch, up to 50,000 records under way (four times as many, 4 MiB, a linger of 10 ms and memory pools were tried: twice to four times the memory, and no faster).
- **MirrorMaker 2 tuned**: producer batch.size 524288, linger.ms 50, compression.type as on the source; consumer max.poll.records 20000, max.partition.fetch.bytes 8 MiB; tasks.max 8; 4 GB heap.
- **MirrorMaker 2 default**: names, addresses, topics, and replication factors of 1; 1 GB heap.
- **produce limit**: the same batches, read into memory and rewritten before, sent over one connection for each broker, one batch of each partition in a request, acknowledged by the leader, 32 MiB under way.

Brokers have 1 GB of heap and their release's defaults, but few partitions of internal topics; log.segment.delete.delay.ms=1000, so that what one run wrote is gone before the next; and log.index.size.max.bytes=262144, because some kernels (ext4, Linux 6.18) take milliseconds for the first write into each mapped index of the default size, which with 1,000 new partitions would hide everything else.`
