package cluster

import (
	"bytes"
	"encoding/json"
	"io"
	"time"

	"aistore/errs"
)

// What lies on disk and travels between nodes is JSON with a format number, decoded strictly: a field that
// this program does not know comes from a newer one, and a replica that ignored it would differ from the
// others in silence.
const (
	entryFormat    = 1
	snapshotFormat = 1
	viewFormat     = 1
)

// decodeCommand is the list of all operations the log can hold; nil if op is none of them.
func decodeCommand(op string) func(json.RawMessage) (Command, error) {
	switch op {
	case Found{}.Op():
		return decodeAs[Found]
	case Join{}.Op():
		return decodeAs[Join]
	case AcceptStart{}.Op():
		return decodeAs[AcceptStart]
	case SetAlive{}.Op():
		return decodeAs[SetAlive]
	case SetVoters{}.Op():
		return decodeAs[SetVoters]
	case SetPrimary{}.Op():
		return decodeAs[SetPrimary]
	case SetNode{}.Op():
		return decodeAs[SetNode]
	case MoveNodes{}.Op():
		return decodeAs[MoveNodes]
	case ReportSource{}.Op():
		return decodeAs[ReportSource]
	case ForgetNode{}.Op():
		return decodeAs[ForgetNode]
	case LoseDisk{}.Op():
		return decodeAs[LoseDisk]
	case SetRebalance{}.Op():
		return decodeAs[SetRebalance]
	case CreateBucket{}.Op():
		return decodeAs[CreateBucket]
	case DestroyBucket{}.Op():
		return decodeAs[DestroyBucket]
	case RenameBucket{}.Op():
		return decodeAs[RenameBucket]
	case SetBucketProps{}.Op():
		return decodeAs[SetBucketProps]
	case SetConfig{}.Op():
		return decodeAs[SetConfig]
	case AddUser{}.Op():
		return decodeAs[AddUser]
	case SetUser{}.Op():
		return decodeAs[SetUser]
	case RemoveUser{}.Op():
		return decodeAs[RemoveUser]
	case AddKey{}.Op():
		return decodeAs[AddKey]
	case RemoveKey{}.Op():
		return decodeAs[RemoveKey]
	case SetBucketOwner{}.Op():
		return decodeAs[SetBucketOwner]
	}
	return nil
}

func decodeAs[C Command](b json.RawMessage) (Command, error) {
	var c C
	err := strict(b, &c)
	return c, err
}

type wireEntry struct {
	Format  int             `json:"v"`
	ID      string          `json:"id,omitempty"`
	Time    time.Time       `json:"time"`
	By      NodeID          `json:"by,omitempty"`
	Op      string          `json:"op"`
	Command json.RawMessage `json:"cmd"`
}

// EncodeEntry returns the entry as it is stored in the log.
func EncodeEntry(e Entry) ([]byte, error) {
	const op = "cluster.EncodeEntry"
	if e.Command == nil {
		return nil, errs.E(op, nil, errs.Invalid, "no command")
	}
	cmd, err := json.Marshal(e.Command)
	if err != nil {
		return nil, errs.E(op, e.Command.Op(), err)
	}
	w := wireEntry{Format: entryFormat, ID: e.ID, Time: e.Time.UTC(), By: e.By, Op: e.Command.Op(), Command: cmd}
	b, err := json.Marshal(w)
	if err != nil {
		return nil, errs.E(op, e.Command.Op(), err)
	}
	return b, nil
}

// DecodeEntry is the inverse of EncodeEntry.
func DecodeEntry(b []byte) (Entry, error) {
	const op = "cluster.DecodeEntry"
	var w wireEntry
	if err := strict(b, &w); err != nil {
		return Entry{}, errs.E(op, "log entry", errs.Corrupt, err)
	}
	if w.Format != entryFormat {
		return Entry{}, errs.F(op, "log entry", errs.Unsupported, "has format %d, this program knows %d", w.Format, entryFormat)
	}
	decode := decodeCommand(w.Op)
	if decode == nil {
		return Entry{}, errs.F(op, "log entry", errs.Unsupported, "has operation %q, which this program does not know", w.Op)
	}
	cmd, err := decode(w.Command)
	if err != nil {
		return Entry{}, errs.E(op, w.Op, errs.Corrupt, err)
	}
	return Entry{ID: w.ID, Time: w.Time, By: w.By, Command: cmd}, nil
}

// strict decodes exactly one JSON value without unknown fields.
func strict(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errs.E("", "", errs.Corrupt, "bytes follow the value")
	}
	return nil
}

type wireMachine struct {
	Format  int      `json:"format"`
	Machine *Machine `json:"machine"`
}

// Snapshot returns the whole state as it is stored in place of a log.
func (m *Machine) Snapshot() ([]byte, error) {
	b, err := json.Marshal(wireMachine{snapshotFormat, m})
	if err != nil {
		return nil, errs.E("cluster.Snapshot", nil, err)
	}
	return append(b, '\n'), nil
}

// Restore is the inverse of Snapshot. It accepts only a state that Apply could have reached.
func Restore(b []byte) (*Machine, error) {
	const op = "cluster.Restore"
	w := wireMachine{Machine: &Machine{}}
	if err := strict(b, &w); err != nil {
		return nil, errs.E(op, "snapshot", errs.Corrupt, err)
	}
	if w.Format != snapshotFormat {
		return nil, errs.F(op, "snapshot", errs.Unsupported, "has format %d, this program knows %d", w.Format, snapshotFormat)
	}
	if w.Machine == nil {
		return nil, errs.E(op, "snapshot", errs.Corrupt, "is empty")
	}
	w.Machine.Config, w.Machine.Users = completed(w.Machine.Config, w.Machine.Users)
	if err := w.Machine.Check(); err != nil {
		return nil, errs.E(op, "snapshot", errs.Corrupt, err)
	}
	w.Machine.Users.freeze()
	return w.Machine, nil
}

// completed fills in what earlier releases did not write: there were no users, and no settings of the S3 endpoint and
// of rebalance. The parts are the caller's own.
func completed(c *Config, us *UserMap) (*Config, *UserMap) {
	if c != nil && c.S3 == (S3Cfg{}) {
		c.S3 = DefaultConfig().S3
	}
	if c != nil && c.Rebalance == (RebalanceCfg{}) {
		c.Rebalance = DefaultConfig().Rebalance
	}
	if c != nil && c.Rebalance.Spare == 0 { // before it could be set
		c.Rebalance.Spare = DefaultConfig().Rebalance.Spare
	}
	if c != nil && c.Disk == (DiskCfg{}) { // nor those of disks before there were any
		c.Disk = DefaultConfig().Disk
	}
	if c != nil && c.Disk.GiveUp == 0 { // nor this one
		c.Disk.GiveUp = DefaultConfig().Disk.GiveUp
	}
	if c != nil && c.Resilver == (ResilverCfg{}) {
		c.Resilver = DefaultConfig().Resilver
	}
	if us == nil {
		us = newUserMap()
	}
	if us.Users == nil {
		us.Users = map[string]*User{}
	}
	return c, us
}

type wireView struct {
	Format int   `json:"format"`
	View   *View `json:"view"`
}

// EncodeView returns the view as it is stored on a node's disk. It holds the cluster's secret
// and the secrets of users.
func EncodeView(v *View) ([]byte, error) {
	b, err := json.Marshal(wireView{viewFormat, v})
	if err != nil {
		return nil, errs.E("cluster.EncodeView", nil, err)
	}
	return append(b, '\n'), nil
}

// DecodeView is the inverse of EncodeView; the view is frozen.
func DecodeView(b []byte) (*View, error) {
	const op = "cluster.DecodeView"
	var w wireView
	if err := strict(b, &w); err != nil {
		return nil, errs.E(op, "view", errs.Corrupt, err)
	}
	if w.Format != viewFormat {
		return nil, errs.F(op, "view", errs.Unsupported, "has format %d, this program knows %d", w.Format, viewFormat)
	}
	if w.View == nil {
		return nil, errs.E(op, "view", errs.Corrupt, "is empty")
	}
	w.View.Config, w.View.Users = completed(w.View.Config, w.View.Users)
	if err := w.View.check(); err != nil {
		return nil, errs.E(op, "view", errs.Corrupt, err)
	}
	return w.View.Freeze(), nil
}
