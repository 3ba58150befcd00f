// Package console prints what a person, or a program reading standard output, is told: progress while a flow
// runs, the status tables, the summary at the end.
//
// It knows [report.Document] and nothing of how one comes about. It opens no file and no connection, and takes
// the time from a clock that it is given. Everything that is printed passes through [Clean]: group ids and
// messages come from clusters and must not be able to move a terminal's cursor.
package console
