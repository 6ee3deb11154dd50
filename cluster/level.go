package cluster

import "strings"

// Level counts the releases that added commands, or fields of commands, to the replicated log: 1 knew no users, 2 moved no names, 3 no starts, 4
// superseded nothing that was kept, 5 went on with a rebalance that was stopped when nodes came or went, 6 knew no stale reads.
// Every node tells the primary its own. A replica of a lower level than a command needs would stop at it, or
// apply it differently.
const Level = 7

// Needs returns the level that every replica must have to apply cmd.
func Needs(cmd Command) int {
	const users, moves, starts, supersedes, stills, stales = 2, 3, 4, 5, 6, 7
	switch c := cmd.(type) {
	case LoseDisk:
		return supersedes
	case AcceptStart:
		return starts
	case ForgetNode:
		switch {
		case c.Still:
			return stills
		case c.Supersede:
			return supersedes
		}
		return moves
	case MoveNodes:
		if c.Still {
			return stills
		}
		return moves
	case ReportSource, SetRebalance:
		return moves
	case AddUser, SetUser, RemoveUser, AddKey, RemoveKey, SetBucketOwner:
		return users
	case CreateBucket:
		if c.Props.StaleReads {
			return stales
		}
		if c.Owner != "" || c.Props.S3 != (S3Props{}) {
			return users
		}
	case SetBucketProps:
		if c.Props.StaleReads {
			return stales
		}
		if c.Props.S3 != (S3Props{}) {
			return users
		}
	case SetConfig:
		if _, is := c.Set["rebalance.spare"]; is {
			return supersedes
		}
		for key := range c.Set {
			if strings.HasPrefix(key, "rebalance.") {
				return moves
			}
		}
		for key := range c.Set {
			if strings.HasPrefix(key, "s3.") {
				return users
			}
		}
	}
	return 1
}
