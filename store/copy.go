package store

import (
	"context"
	"io"

	"aistore/errs"
	"aistore/object"
)

// Copy makes to a further name of the content of a version of from ("" = the current), replacing what to had. What Link says of
// shared content and of metadata holds here too; content is copied when o.Also asks for checksums.
func (s *Store) Copy(ctx context.Context, from object.Name, versionID string, to object.Name, o PutOptions) (object.Info, error) {
	return object.Info{}, errs.E("store.Copy", from, errs.Unsupported)
}

// RangeReader returns a part of the object's content as a stream; every byte was verified first. The span must lie inside the object.
func (o *Object) RangeReader(sp object.Span) io.Reader {
	return &reader{o: o, pos: sp.Start}
}
