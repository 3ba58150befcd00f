// Package groups carries the positions of consumer groups from the source to the target, one to one, again and
// again while a flow is copied.
//
// What may be stored is decided by the pure package position; here both clusters are asked and told, as
// seldom as correctness allows: positions that do not move are looked at less and less often. It does not
// move groups (that is a cutover) and deletes nothing.
package groups
