package owner

import "time"

// Hasten shortens the time that a completion is waited for without a word, and between signs of life.
func (w *Owner) Hasten(patience, pulse time.Duration) { w.patience, w.pulse = patience, pulse }
