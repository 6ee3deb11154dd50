package cluster

import "testing"

func TestNeeds(t *testing.T) {
	s3 := BucketProps{S3: S3Props{Tags: "x"}}
	for _, c := range []struct {
		cmd  Command
		want int
	}{
		{CreateBucket{Name: "b", Props: DefaultBucketProps()}, 1}, {SetBucketProps{Name: "b", Props: DefaultBucketProps()}, 1},
		{SetConfig{Set: map[string]string{"log.level": "info"}}, 1}, {SetPrimary{ID: "a"}, 1}, {DestroyBucket{Name: "b"}, 1},
		{CreateBucket{Name: "b", Owner: "o"}, 2}, {CreateBucket{Name: "b", Props: s3}, 2}, {SetBucketProps{Name: "b", Props: s3}, 2},
		{SetConfig{Set: map[string]string{"log.level": "info", "s3.region": "x"}}, 2}, {SetBucketOwner{Name: "b"}, 2},
		{ForgetNode{ID: "a"}, 3}, {ForgetNode{ID: "a", Supersede: true}, 5}, {LoseDisk{ID: "a"}, 5}, {ForgetNode{ID: "a", Supersede: true, Still: true}, 6},
		{CreateBucket{Name: "b", Props: BucketProps{StaleReads: true}}, 7}, {SetBucketProps{Name: "b", Props: BucketProps{StaleReads: true, S3: s3.S3}}, 7},
		{MoveNodes{IDs: []NodeID{"a"}}, 3}, {MoveNodes{IDs: []NodeID{"a"}, Still: true}, 6},
		{SetConfig{Set: map[string]string{"rebalance.weight": "2"}}, 3}, {SetConfig{Set: map[string]string{"rebalance.weight": "2", "rebalance.spare": "50"}}, 5},
		{AddUser{}, 2}, {SetUser{}, 2}, {RemoveUser{}, 2}, {AddKey{}, 2}, {RemoveKey{}, 2},
	} {
		if got := Needs(c.cmd); got != c.want || got > Level {
			t.Errorf("%s %+v needs %d, not %d", c.cmd.Op(), c.cmd, got, c.want)
		}
	}
}
