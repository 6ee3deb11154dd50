package indexfs

import "errors"

// tableFile is a table or value file that is being written. Pebble writes block by block, which for values of some KiB is a call to
// the kernel for each; here they are gathered first. It reads such a file only after it has synced it.
type tableFile struct {
	*indexFile
	buf []byte
}

const tableBuffer = 64 << 10

func (t *tableFile) Write(p []byte) (int, error) {
	if len(t.buf)+len(p) > tableBuffer {
		if err := t.spill(); err != nil {
			return 0, err
		}
		if len(p) > tableBuffer/2 {
			return t.indexFile.Write(p)
		}
	}
	if t.buf == nil {
		t.buf = make([]byte, 0, tableBuffer)
	}
	t.buf = append(t.buf, p...)
	return len(p), nil
}

// spill writes what was gathered. What failed is not kept: the table is lost then.
func (t *tableFile) spill() error {
	p := t.buf
	t.buf = p[:0]
	if len(p) == 0 {
		return nil
	}
	_, err := t.indexFile.Write(p)
	return err
}

func (t *tableFile) WriteAt(p []byte, off int64) (int, error) {
	if err := t.spill(); err != nil {
		return 0, err
	}
	return t.indexFile.WriteAt(p, off)
}

func (t *tableFile) Sync() error { return t.SyncData() }

func (t *tableFile) SyncData() error {
	if err := t.spill(); err != nil {
		return err
	}
	return t.indexFile.SyncData()
}

func (t *tableFile) Close() error { return errors.Join(t.spill(), t.indexFile.Close()) }
