package main

// mutant is a mistake that a driver, or a machine whose guard it takes away, could make. Nothing of it is in the
// product: the simulated driver changes what goes to the machine, or comes from it, on the way.
type mutant int

// The mistakes.
const (
	sane             mutant = iota
	blindRetry              // what was not acknowledged is sent again, without looking
	unsettledAppends        // no waiting for late appends where the broker has forgotten the producer
	unsettledMarks          // no waiting for late markers
	anyBase                 // the base offset in an acknowledgement is not looked at
	hastyMarks              // appends count as acknowledged when they are sent, so that markers overtake them
	highAsEnd               // the high watermark is taken for the log end
	ownProducer             // every kferry has a producer id of its own
	emptyIsHole             // an empty answer is taken for a hole
	deaf                    // a divergence of the source's history is not heard
	unsettledStart          // a starting kferry does not ask after transactions of an earlier one
	tornRead                // log end and sequence are read one after the other, and never compared
	unmoved                 // another leader of the source is not worth a look
	trusting                // what is on the target is not compared
)

var mutants = map[string]mutant{
	"blind-retry": blindRetry, "unsettled-appends": unsettledAppends, "unsettled-marks": unsettledMarks, "any-base": anyBase, "hasty-marks": hastyMarks,
	"high-as-end": highAsEnd, "own-producer": ownProducer, "empty-is-hole": emptyIsHole, "deaf": deaf, "unmoved": unmoved, "torn-read": tornRead, "unsettled-start": unsettledStart, "trusting": trusting,
}
