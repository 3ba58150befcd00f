package replicate

import "time"

// meter turns a growing count into a rate that follows changes within a few seconds.
type meter struct {
	at      time.Time
	records int64
	bytes   int64

	recordsPerSec float64
	bytesPerSec   float64
}

// meterHalfLife is how long it takes for half of a change to show.
const meterHalfLife = 3 * time.Second

// sample notes the counts at now.
func (m *meter) sample(now time.Time, records, bytes int64) {
	if m.at.IsZero() {
		m.at, m.records, m.bytes = now, records, bytes
		return
	}
	dt := now.Sub(m.at).Seconds()
	if dt < 0.05 {
		return
	}
	keep := 1 / (1 + dt/meterHalfLife.Seconds()) // close to 2^(-dt/halfLife) for the steps there are
	if m.recordsPerSec == 0 {
		keep = 0
	}
	m.recordsPerSec = keep*m.recordsPerSec + (1-keep)*float64(records-m.records)/dt
	m.bytesPerSec = keep*m.bytesPerSec + (1-keep)*float64(bytes-m.bytes)/dt
	m.at, m.records, m.bytes = now, records, bytes
}

// eta is how many seconds lag takes at the present rate, -1 if there is none.
func (m *meter) eta(lag int64) float64 {
	switch {
	case lag <= 0:
		return 0
	case m.recordsPerSec < 0.001:
		return -1
	}
	return float64(lag) / m.recordsPerSec
}
