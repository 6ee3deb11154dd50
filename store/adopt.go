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

// HasAppend reports whether the bytes of an append handle are here: kind Mountpath when they may be on a mountpath that is out of service, Conflict when
// only the session's first bytes are: a crash took the others, or another node has them since it took the session over.
func (s *appends) HasAppend(n object.Name, token string) (bool, error) {
	h, err := parseHandle(token)
	if err != nil {
		return false, err
	}
	has := false
	err = s.steady(func() (err error) {
		if has, err = s.hasSession(h.id); !has {
			return err
		}
		v, err := s.findSession(n, h.id)
		if err != nil {
			return err
		}
		return h.within(v)
	})
	if err != nil {
		return false, errs.E("store.HasAppend", n, err)
	}
	return has, nil
}

// within returns kind Conflict if the session's file has less bytes than the handle stands for.
func (h handle) within(v *volume) error {
	fi, err := v.mp.Stat(h.id.file())
	if err == nil && fi.Size() < format.BlobHeaderSize+h.size || errors.Is(err, os.ErrNotExist) {
		return errs.E("store.append", "append", errs.Conflict, "bytes of this append were lost in a crash: start it anew")
	}
	return err
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
	if h.within(v) != nil {
		release()
		return nil, 0, errs.E(op, n, errs.NotFound, "only the first bytes of the append are here")
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
