package result

import "slices"

// Summary is the medians over the rounds of one contender on one workload.
type Summary struct {
	Contender  string
	Runs       []Copy
	RecordsSec float64 // records a second
	MBSec      float64 // 10^6 bytes of batches, as they lie on the source, a second
	Seconds    float64
	Start      float64
	CPUPerM    float64 // the tool's CPU-seconds for a million records
	CPUPerGB   float64 // and for 10^9 bytes of batches
	TargetPerM float64 // the target brokers'
	SourcePerM float64
	PeakMemory float64 // bytes
	Other      float64 // share of the machine that something else took, the largest of the rounds
	Cut        bool    // in at least one round
}

// lifeCounts says of which contenders the CPU time of the whole life of the
// process counts. For the others only that between the first and the last
// record does: MirrorMaker 2 is not charged for the start of its JVM, nor the
// produce limit for reading its batches. kferry and what is compared with it
// most directly get the stricter rule.
func lifeCounts(contender string) bool { return contender == Kferry || contender == FranzGo }

// Summarize sums up one contender's rounds; ok is false if there are none.
func (b *Book) Summarize(section, workload, contender string, cores int) (s Summary, ok bool) {
	s = Summary{Contender: contender}
	for _, c := range b.Copies {
		if c.Section == section && c.Workload == workload && c.Contender == contender && c.Records > 0 && c.Seconds > 0 {
			s.Runs = append(s.Runs, c)
		}
	}
	if len(s.Runs) == 0 {
		return s, false
	}
	over := func(f func(Copy) float64) float64 {
		values := make([]float64, len(s.Runs))
		for i, c := range s.Runs {
			values[i] = f(c)
		}
		return Median(values)
	}
	perM := func(cpu float64, c Copy) float64 { return cpu / float64(c.Records) * 1e6 }
	tool := func(c Copy) float64 {
		if lifeCounts(contender) {
			return c.LifeCPU
		}
		return c.ToolCPU
	}
	s.RecordsSec = over(func(c Copy) float64 { return float64(c.Records) / c.Seconds })
	s.MBSec = over(func(c Copy) float64 { return float64(c.Bytes) / c.Seconds / 1e6 })
	s.Seconds = over(func(c Copy) float64 { return c.Seconds })
	s.Start = over(func(c Copy) float64 { return c.Start })
	s.CPUPerM = over(func(c Copy) float64 { return perM(tool(c), c) })
	s.CPUPerGB = over(func(c Copy) float64 { return tool(c) / float64(c.Bytes) * 1e9 })
	s.TargetPerM = over(func(c Copy) float64 { return perM(c.TargetCPU, c) })
	s.SourcePerM = over(func(c Copy) float64 { return perM(c.SourceCPU, c) })
	s.PeakMemory = over(func(c Copy) float64 { return float64(c.PeakMemory) })
	for _, c := range s.Runs {
		s.Cut = s.Cut || c.Cut
		s.Other = max(s.Other, (c.OtherCPU+c.Stolen)/c.Seconds/float64(max(cores, 1)))
	}
	return s, true
}

// Median is the middle value, or the mean of the two in the middle; 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// workloadsOf lists the workloads that a section copied, in their first order.
func (b *Book) workloadsOf(section string) []string {
	var names []string
	for _, c := range b.Copies {
		if c.Section == section && !slices.Contains(names, c.Workload) {
			names = append(names, c.Workload)
		}
	}
	return names
}

// contendersOf lists who copied a workload, kferry first.
func (b *Book) contendersOf(section, workload string) []string {
	var names []string
	for _, name := range []string{Kferry, FranzGo, MM2Tuned, MM2, Limit} {
		if slices.ContainsFunc(b.Copies, func(c Copy) bool {
			return c.Section == section && c.Workload == workload && c.Contender == name
		}) {
			names = append(names, name)
		}
	}
	return names
}

// part is how much of its workload a run copied before it was cut; runs that
// were not cut copied everything.
func (c Copy) part() float64 {
	if c.Total == 0 {
		return 1
	}
	return float64(c.Records) / float64(c.Total)
}
