package edge

import "time"

// Hasten changes how long a request waits for another that deletes the bucket.
func (e *Edge) Hasten(patience time.Duration) { e.sealPatience = patience }
