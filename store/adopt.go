package store

import (
	"context"
	"errors"
	"io"
	"os"

	"aistore/errs"
	"aistore/object"
	"aistore/store/format"
)

// An append session goes on at another node, when its object's name went there, as a session of that node with the same bytes.

// HasAppend reports whether the session of an append handle is here: kind Mountpath when it may be on one that is out of service.
func (s *appends) HasAppend(n object.Name, token string) (bool, error) {
	h, err := parseHandle(token)
	if err != nil {
		return false, err
	}
	has := false
	err = s.steady(func() (err error) {
		has, err = s.hasSession(h.id)
		return err
	})
	if err != nil {
		return false, errs.E("store.HasAppend", n, err)
	}
	return has, nil
}

func (s *appends) hasSession(id sessionID) (bool, error) {
	for _, v := range s.volumes() {
		if v.err() != nil {
			continue
		}
		_, err := v.getCopy(appendKey(id))
		if err == nil {
			return true, nil
		}
		if !errs.Is(err, errs.NotFound) {
			return false, err
		}
	}
	return false, s.allUsable()
}

// OpenAppend returns the bytes that an append handle stands for, and how many they are. Nothing is appended until they are closed.
func (s *appends) OpenAppend(ctx context.Context, n object.Name, token string) (io.ReadCloser, int64, error) {
	const op = "store.OpenAppend"
	h, err := parseHandle(token)
	if err != nil {
		return nil, 0, err
	}
	v, release, err := s.session(ctx, n, h.id)
	if err != nil {
		return nil, 0, errs.E(op, n, err)
	}
	f, err := v.mp.OpenFile(h.id.file(), os.O_RDONLY)
	if err != nil {
		release()
		return nil, 0, errs.E(op, n, err)
	}
	return &opened{io.NewSectionReader(f, format.BlobHeaderSize, h.size), f, release}, h.size, nil
}

// opened is the bytes of a session while it is taken.
type opened struct {
	io.Reader
	file    io.Closer
	release func()
}

// Close lets the session go on.
func (o *opened) Close() error {
	defer o.release()
	return o.file.Close()
}

// AdoptAppend begins a session with the bytes that another node's handle stands for, and returns its handle. Other bytes are kind Conflict, as
// where the handle is from.
func (s *appends) AdoptAppend(ctx context.Context, n object.Name, token string, r io.Reader) (string, error) {
	const op = "store.AdoptAppend"
	want, err := parseHandle(token)
	if err != nil {
		return "", err
	}
	first, err := s.BeginAppend(ctx, n)
	if err != nil {
		return "", err
	}
	last, err := s.Append(ctx, n, first, io.LimitReader(r, want.size))
	if err == nil {
		var got handle
		if got, err = parseHandle(last); err == nil && (got.size != want.size || got.crc != want.crc) {
			err = errs.E(op, n, errs.Conflict, "bytes of this append were lost in a crash: start it anew")
		}
	}
	if err != nil {
		return "", errors.Join(err, s.AbortAppend(ctx, n, first))
	}
	return last, nil
}
